"""Prefix language modelling: who sees what, and what counts."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.models import lstm
from lmjax.models.presets import encoder_decoders
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.objectives import lm
from lmjax.objectives import prefix
from lmjax.testing import batches
from lmjax.testing import hot

VOCAB = 11
MODEL = decoder.DecoderConfig(
    vocab_size=VOCAB, context=16, width=16, num_layers=2,
    positions=positions.Learned(), block=block.PreNorm(
        mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(16))).build()
PLAIN = batches.packed(batches.documents([6, 3, 5], VOCAB), 9)
READ = (PLAIN['positions'] < 2) & (PLAIN['segments'] > 0)
BATCH = PLAIN | {'prefix': READ, 'weights': PLAIN['weights'] * ~READ}


@pytest.fixture(scope='module')
def params():
  return hot.hot_params(jax.eval_shape(
      MODEL.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])


def test_all_numbers_by_their_formulas(params):
  got = jax.jit(prefix.PrefixLM(0.2, 0.01).build(MODEL))(params, BATCH)
  segments = BATCH['segments']
  same = (segments[:, :, None] == segments[:, None]) & (segments[:, None] > 0)
  seen = same & (np.tri(9, dtype=bool)[None] | READ[:, None])
  mask = masks.make(BATCH['positions'], causal=False).replace(extra_BTS=seen)
  logits = np.asarray(jax.jit(lambda p: MODEL.apply(
      {'params': p}, BATCH['inputs'], mask)[0])(params), np.float64)
  log_normalizer = np.log(np.exp(logits).sum(-1))
  log_probs = logits - log_normalizer[..., None]
  nll = -np.take_along_axis(log_probs, BATCH['targets'][..., None], -1)[..., 0]
  loss = 0.8 * nll - 0.2 * log_probs.mean(-1) + 0.01 * log_normalizer ** 2
  correct = log_probs.argmax(-1) == BATCH['targets']
  for name, values in dict(loss=loss, nll=nll, accuracy=correct).items():
    np.testing.assert_allclose(
        got[name].total, (values * BATCH['weights']).sum(), rtol=1e-5)
    assert float(got[name].weight) == BATCH['weights'].sum() == 8


def test_without_a_prefix_it_is_the_causal_objective_and_its_scores(params):
  none = PLAIN | {'prefix': np.zeros_like(READ)}
  got, (nll, _), want = jax.jit(lambda p: (
      prefix.PrefixLM().build(MODEL)(p, none),
      prefix.PrefixLM().scores(MODEL)(p, PLAIN),
      lm.causal(MODEL, p, PLAIN)))(params)
  np.testing.assert_allclose(
      got['nll'].total, want['nll'].total, rtol=1e-5)
  np.testing.assert_allclose(
      np.sum(nll * PLAIN['weights']), want['nll'].total, rtol=1e-5)


def test_unusable_models_and_batches_are_refused(params):
  encoder = decoder.DecoderConfig(vocab_size=VOCAB, causal=False).build()
  both = encoder_decoders.PRESETS['tiny_t5'].with_vocab(VOCAB).build()
  recurrent = lstm.RecurrentConfig(vocab_size=VOCAB).build()
  for build in (prefix.PrefixLM().build, prefix.PrefixLM().scores):
    with pytest.raises(errors.InputError, match='reads both ways'):
      build(encoder)
    with pytest.raises(errors.InputError, match='objective.kind=Seq2Seq'):
      build(both)
    with pytest.raises(errors.InputError, match='RecurrentModel as .*Causal'):
      build(recurrent)
  with pytest.raises(errors.InputError, match='joined=True'):
    prefix.PrefixLM().build(MODEL)(params, PLAIN)
  with pytest.raises(errors.InputError, match='label_smoothing .* got 1.0'):
    prefix.PrefixLM(label_smoothing=1.0)
