"""A chain's scores: a softmax's logits, and a table that starts at zero."""
import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models.heads import chain
from lmjax.models.heads import token
from lmjax.models.presets import decoders
from lmjax.nn import crf
from lmjax.testing import hot

TINY = decoders.gpt2(8, 1, 2, vocab_size=11, context=8)
INPUTS = np.array([[3, 4, 5, 6, 0, 0]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 0, 0]], np.int32)
POSITIONS = np.arange(6, dtype=np.int32)[None] * SEGMENTS
ALLOWED = crf.Allowed(
    (True, True, False), ((True, True, False), (True,) * 3, (True,) * 3))


def test_emissions_are_a_softmaxs_logits_and_forbidden_steps_are_kept_apart():
  model = chain.CRFConfig().build(TINY, 3, allowed=ALLOWED)
  shapes = jax.eval_shape(model.init, jax.random.key(0), INPUTS, POSITIONS,
                          SEGMENTS)['params']
  assert {name: x.shape for name, x in shapes['tags_chain'].items()} == {
      'start': (3,), 'step': (3, 3), 'stop': (3,)}
  params = hot.hot_params(shapes, std=0.4)
  logits, free, kept = jax.jit(lambda params: [
      config.build(TINY, 3, allowed=ALLOWED).apply(
          {'params': params}, INPUTS, POSITIONS, SEGMENTS)
      for config in (token.TokenConfig(), chain.CRFConfig(constrained=False),
                     chain.CRFConfig())])(params)
  for scores in free, kept:
    np.testing.assert_array_equal(scores.emissions_BTC, logits)
  table = params['tags_chain']
  np.testing.assert_array_equal(free.transitions.step_CC, table['step'])
  np.testing.assert_array_equal(
      kept.transitions.step_CC,
      np.where(ALLOWED.step, table['step'], np.float32(crf.FORBIDDEN)))
  assert kept.transitions.start_C[2] == np.float32(crf.FORBIDDEN)
  np.testing.assert_array_equal(kept.transitions.stop_C, table['stop'])


def test_bad_dropout_is_refused():
  with pytest.raises(errors.InputError, match='CRFConfig.dropout should'):
    chain.CRFConfig(dropout=1.0)
