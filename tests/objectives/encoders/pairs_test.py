"""The pair loss by its formula, beside the masked one."""
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import encoder
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.objectives.encoders import mlm
from lmjax.objectives.encoders import pairs
from lmjax.testing import hot

VOCAB, MASK = 13, 12
TOKENIZER = types.SimpleNamespace(
    vocab_size=VOCAB, control_ids=(10, 11, MASK), special={'[MASK]': MASK}.get)
CONFIG = encoder.EncoderConfig(
    vocab_size=VOCAB, context=16, width=16, num_layers=1,
    pooler=encoder.Pooler(), block=block.PostNorm(
        mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(16)))
MODEL = CONFIG.build()


def batch_of():
  lengths = np.array([8, 5, 7, 0])
  places = np.broadcast_to(np.arange(8), (4, 8))
  real = places < lengths[:, None]
  ids = np.random.default_rng(0).integers(0, 10, (4, 8))
  ids[:, 0], ids[:, 3] = 10, 11
  return {'inputs': (ids * real).astype(np.int32), 'positions': places * real,
          'segments': real.astype(np.int32), 'types': ((places > 3) & real) * 1,
          'labels': np.array([1, 0, 1, 0]), 'weights': real.astype(np.float32)}


BATCH = batch_of()


@pytest.fixture(scope='module')
def params():
  return hot.hot_params(jax.eval_shape(
      MODEL.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])


@pytest.fixture(scope='module')
def got(params):
  objective = pairs.SentencePairs(mlm.MaskedLM(rate=0.5), weight=3.0)
  return jax.jit(objective.build(MODEL, TOKENIZER))(params, BATCH)


@pytest.mark.slow
def test_tokens_are_scored_as_without_pairs(params, got):
  alone = jax.jit(mlm.MaskedLM(rate=0.5).build(MODEL, TOKENIZER))(params, BATCH)
  for name in ('nll', 'accuracy', 'masked'):
    assert got[name].value == pytest.approx(alone[name].value, rel=1e-5)
  assert got['loss'].weight == alone['loss'].weight > 3


@pytest.mark.slow
def test_rows_are_scored_by_their_labels(params, got):
  masked = jax.jit(mlm.MaskedLM(rate=0.5).masker(TOKENIZER))(BATCH, None)
  def pair_logits(model):
    x_BTD, _ = model.hidden(
        masked.inputs_BT, masks.make(
            BATCH['positions'], BATCH['segments'], causal=False),
        types_BT=BATCH['types'])
    return model.pair_logits(x_BTD)
  logits = np.asarray(jax.jit(
      lambda p: MODEL.apply({'params': p}, method=pair_logits))(params))
  p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  nll = -np.log(p[np.arange(4), BATCH['labels']])
  np.testing.assert_allclose(got['pair_nll'].value, nll[:3].mean(), rtol=1e-5)
  assert got['pair_nll'].weight == 3  # A row of padding is none.
  assert got['pair_accuracy'].value == pytest.approx(
      (logits.argmax(-1) == BATCH['labels'])[:3].mean())
  possible = np.array([6, 3, 5, 0])  # Neither [CLS], [SEP] nor padding.
  np.testing.assert_allclose(
      got['loss'].total - got['nll'].total, 3.0 * 0.5 * (nll * possible).sum(),
      rtol=1e-5)


def test_unusable_models_batches_and_weights_are_refused(params):
  objective = pairs.SentencePairs()
  plain = encoder.EncoderConfig(vocab_size=VOCAB)
  with pytest.raises(errors.InputError, match='model.pooler.kind=Pooler'):
    objective.build(plain.build(), TOKENIZER)
  run = objective.build(MODEL, TOKENIZER)
  rows = {k: v for k, v in BATCH.items() if k != 'labels'}
  with pytest.raises(errors.InputError, match='packing.kind=NextSentence'):
    run(params, rows)
  with pytest.raises(errors.InputError, match='weight .* got -1'):
    pairs.SentencePairs(weight=-1)


@pytest.mark.slow
def test_text_is_scored_as_by_the_masked_model(params):
  window = {k: v for k, v in BATCH.items() if k not in ('types', 'labels')}
  window['targets'] = np.roll(window['inputs'], -1, axis=1)
  one, other = (jax.jit(objective.scores(MODEL, TOKENIZER))(params, window)
                for objective in (pairs.SentencePairs(), mlm.MaskedLM()))
  np.testing.assert_array_equal(one[0], other[0])
