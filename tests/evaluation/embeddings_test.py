"""Vectors are those of a text read alone; alike texts are near."""
import functools
import io
import os

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.evaluation import embeddings
from lmjax.models import cost
from lmjax.models import encoder
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.nn import masks
from lmjax.nn import readout
from lmjax.testing import hot

TOKENIZER = symbols.Bytes().build()
# Of four lengths, each compiled for itself where texts are read alone.
TEXTS = ['ab', 'several words', 'zz', '', 'another words', 'so', 'x' * 40]
CONFIGS = {
    'decoder': decoders.gpt2(16, 1, 2, vocab_size=258, context=24),
    'encoder': encoder.EncoderConfig(
        vocab_size=258, context=24, width=16, num_layers=1),
}


@functools.cache
def built(name):
  config = CONFIGS[name]
  return config.build(), hot.hot_params(cost.shapes(config))


@functools.partial(jax.jit, static_argnames='name')
def alone(ids_T, name):
  model, params = built(name)
  x_BTD, _ = model.apply(
      {'params': params}, ids_T[None], masks.of_length(
          len(ids_T), causal=name == 'decoder'), method='hidden')
  return x_BTD[0]


@pytest.mark.parametrize('name', CONFIGS)
@pytest.mark.parametrize('pooling', ['mean', 'cls', 'last'])
def test_a_batch_gives_what_each_text_alone_gives(name, pooling):
  model, params = built(name)
  found = embeddings.embed(
      model, params, TOKENIZER, TEXTS, readout.Readout(pooling), batch_size=4)
  for text, vector in zip(TEXTS, found):
    ids = TOKENIZER.encode_document(text).astype(int)
    if len(ids) > 24:  # EOS is kept.
      ids = np.append(ids[:23], ids[-1])
    x_TD = np.asarray(alone(ids, name=name))
    want = {'mean': x_TD.mean(axis=0), 'cls': x_TD[0],
            'last': x_TD[-1]}[pooling]
    np.testing.assert_allclose(vector, want, atol=2e-5)


def test_an_encoder_decoder_is_embedded_by_its_encoder():
  config = encoder_decoders.PRESETS['tiny_t5']
  config = config.with_vocab(258)
  model, params = config.build(), hot.hot_params(cost.shapes(config))
  found = embeddings.embed(model, params, TOKENIZER, ['abc'])
  ids = TOKENIZER.encode_document('abc').astype(int)
  memory = jax.jit(lambda ids: model.apply(
      {'params': params}, ids[None], method='encode'))(ids)
  np.testing.assert_allclose(found[0], memory[0].mean(0), atol=2e-5)


def test_vectors_are_written_to_a_pipe():
  vectors_ND = np.arange(6, dtype=np.float32).reshape(2, 3)
  ends = os.pipe()
  with open(ends[0], 'rb') as out, open(ends[1], 'wb') as pipe:
    embeddings.save(pipe, vectors_ND)
    pipe.close()
    found_ND = np.load(io.BytesIO(out.read()), allow_pickle=False)
  np.testing.assert_array_equal(found_ND, vectors_ND)


def test_the_nearest_come_first():
  texts = np.array([[1, 0], [0, 2], [3, 3]], np.float32)
  cosines, places = embeddings.nearest(
      np.array([[0, 5]], np.float32), texts, 2)
  assert places.tolist() == [[1, 2]]
  np.testing.assert_allclose(cosines, [[1, 0.5**0.5]], rtol=1e-6)
  assert embeddings.nearest(texts, texts, 9)[1].shape == (3, 3)


def test_a_text_is_cut_before_the_tokens_after_it():
  model, params = built('encoder')
  how = readout.Readout('last', length=5, lower=True)
  cut, short = embeddings.embed(
      model, params, TOKENIZER, ['ABCDEFG', 'abc'], how)
  assert TOKENIZER.frame().after
  np.testing.assert_allclose(cut, short, atol=1e-6)


def test_vectors_have_length_1_if_asked():
  model, params = built('encoder')
  plain, unit = (embeddings.embed(
      model, params, TOKENIZER, TEXTS[:2], readout.Readout(unit=unit))
                 for unit in (False, True))
  np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, rtol=1e-5)
  np.testing.assert_allclose(
      unit, plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-6)


def test_an_empty_text_is_refused():
  model, params = built('decoder')
  with pytest.raises(errors.InputError, match='A text is empty'):
    embeddings.embed(
        model, params, symbols.Bytes(bos=False, eos=False).build(), [''])
