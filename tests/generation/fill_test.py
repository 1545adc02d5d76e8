"""Masks are filled by the model's own probabilities, without control ids."""
import dataclasses
import types

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import frames
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import symbols
from lmjax.generation import fill
from lmjax.models import cost
from lmjax.models import encoder
from lmjax.models.presets import decoders
from lmjax.testing import hot

TOKENIZER = specials.Extended(
    symbols.Characters().build(['abcdef gh']), ('[MASK]',))
CONFIG = encoder.EncoderConfig(
    vocab_size=TOKENIZER.vocab_size, context=24, width=16, num_layers=1)
MODEL, PARAMS = CONFIG.build(), hot.hot_params(cost.shapes(CONFIG))


class Words:
  """A tokenizer whose words carry the space before them."""
  vocab_size = 4
  control_ids = (0, 3)
  pieces = [b'', b'The', b' cat', b'']

  def special(self, name):
    return 3

  def frame(self):
    return frames.Frame.of([0], [], [], texts=1)

  def token_bytes(self, token):
    return self.pieces[token]

  def encode(self, text):
    return np.array([self.pieces.index(part.encode()) for part in (
        [text] if text else [])], int)


@pytest.mark.slow
def test_candidates_are_the_softmax_of_the_model():
  texts = ['a[MASK]c [MASK]', 'hgf[MASK]']
  found = fill.fill(MODEL, PARAMS, TOKENIZER, texts, top_k=3)
  apply = jax.jit(lambda ids_BT: MODEL.apply({'params': PARAMS}, ids_BT)[0])
  assert [len(fills) for fills in found] == [2, 1]
  for text, fills in zip(texts, found):
    ids = fill.encode(TOKENIZER, text)
    logits = np.array(apply(ids[None])[0])
    logits[:, list(TOKENIZER.control_ids)] = -np.inf
    p = np.asarray(jax.nn.softmax(logits, axis=-1))
    places = np.flatnonzero(ids == TOKENIZER.special('[MASK]'))
    for place, each in zip(places, fills):
      best = np.argsort(-p[place])[:3]
      assert each.ids == tuple(best)
      assert each.texts == tuple(TOKENIZER.decode([i]) for i in best)
      np.testing.assert_allclose(each.probabilities, p[place][best], rtol=1e-4)


def test_a_space_before_a_mask_belongs_to_what_fills_it():
  assert fill.encode(Words(), 'The [MASK] cat').tolist() == [0, 1, 3, 2]
  mask = TOKENIZER.special('[MASK]')
  spaced = fill.encode(TOKENIZER, 'a [MASK]').tolist()  # A token of its own.
  assert spaced[2:4] == [TOKENIZER.encode(' ')[0], mask]


@pytest.mark.parametrize('text, options, message', [
    ('abc', {}, r"Write \[MASK\] .* 'abc'"),
    ('[MASK]' + 'a' * 30, {}, '33 tokens, but the model reads 24'),
    ('[MASK]' + 'a' * 22, {}, '25 tokens, but the model reads 24'),
    ('[MASK]', dict(top_k=10), 'from 1 to the 9 ids'),
    ('[MASK]', dict(top_k=0), 'got 0'),
])
def test_texts_that_cannot_be_filled_are_refused(text, options, message):
  with pytest.raises(errors.InputError, match=message):
    fill.fill(MODEL, PARAMS, TOKENIZER, [text], **options)


def test_a_causal_model_is_refused():
  causal = decoders.gpt2(16, 1, 2, vocab_size=12, context=24).build()
  with pytest.raises(errors.InputError, match='Decoder cannot fill a mask'):
    fill.fill(causal, {}, TOKENIZER, ['[MASK]'])


def test_a_model_without_logits_is_refused():
  model = types.SimpleNamespace(
      config=dataclasses.replace(CONFIG, tokens=None))
  with pytest.raises(errors.InputError, match='cannot fill a mask'):
    fill.check(model)


def test_ids_beyond_the_tokenizer_are_no_candidates():
  config = dataclasses.replace(CONFIG, vocab_size=TOKENIZER.vocab_size + 50)
  fills, = fill.fill(config.build(), hot.hot_params(cost.shapes(config)),
                     TOKENIZER, ['a[MASK]c'], top_k=9)
  assert max(fills[0].ids) < TOKENIZER.vocab_size
  assert sum(fills[0].probabilities) == pytest.approx(1)
