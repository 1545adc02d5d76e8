"""Scores of answers equal backbone and head; no answer is in column 0."""
import functools

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import cost
from lmjax.models import encoder
from lmjax.models.heads import span
from lmjax.models.heads import warm_start
from lmjax.models import parts
from lmjax.testing import hot

TINY = encoder.EncoderConfig(
    vocab_size=11, context=8, width=16, num_layers=1,
    embed=parts.TypedEmbed(types=2))
INPUTS = np.array([[3, 4, 5, 6, 0, 0], [7, 8, 9, 1, 2, 10]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 0, 0], [1] * 6], np.int32)
POSITIONS = np.arange(6, dtype=np.int32)[None] * SEGMENTS
TYPES = np.array([[0, 0, 1, 1, 0, 0], [0, 0, 0, 1, 1, 1]], np.int32)


def made(**options):
  model = span.SpanConfig(**options).build(TINY)
  found = jax.eval_shape(
      model.init, jax.random.key(1), INPUTS, POSITIONS, SEGMENTS)['params']
  return model, hot.hot_params(found, std=0.4)


@functools.partial(jax.jit, static_argnames='model')
def apply(model, params, inputs=INPUTS, types=TYPES):
  return model.apply(
      {'params': params}, inputs, POSITIONS, SEGMENTS, types_BT=types)


@jax.jit
def hidden(params, inputs_BT, types_BT):
  return TINY.build().apply({'params': params}, inputs_BT, types_BT=types_BT,
                            method='hidden')[0]


@pytest.mark.parametrize('null', ['first', 'mean'])
def test_logits_are_the_head_on_each_token(null):
  model, params = made(null=null)
  assert model.tells_apart and params['answers']['kernel'].shape == (16, 2)
  pretrained = hot.hot_params(cost.shapes(TINY), seed=5, std=0.4)
  params = warm_start.warm_start(params, pretrained, TINY)
  logits = apply(model, params)
  head = lambda name, x: np.asarray(x, np.float64) @ np.asarray(
      params[name]['kernel']) + np.asarray(params[name]['bias'])
  for row, size in enumerate((4, 6)):
    x_TD = hidden(pretrained, INPUTS[row:row + 1, :size],
                  TYPES[row:row + 1, :size])[0]
    want = head('answers', x_TD)
    if null == 'mean':
      want[0] = head('answers_null', np.mean(x_TD, axis=0))
    np.testing.assert_allclose(logits[row, :size], want, atol=1e-5)
  assert ('answers_null' in params) == (null == 'mean')
  assert logits.dtype == np.float32


def test_types_matter_and_padding_does_not():
  model, params = made(null='mean')
  logits = apply(model, params)
  padded = np.where(SEGMENTS > 0, INPUTS, 9)
  np.testing.assert_array_equal(apply(model, params, padded)[0, :4],
                                logits[0, :4])
  assert np.abs(apply(model, params, types=0 * TYPES) - logits).max() > 1e-3


@pytest.mark.slow
def test_dropout_is_on_only_in_training():
  model, params = made(dropout=0.5)
  @functools.partial(jax.jit, static_argnames='train')
  def noisy(seed, train):
    return model.apply(
        {'params': params}, INPUTS, POSITIONS, SEGMENTS, train=train,
        rngs={'dropout': jax.random.key(seed)})
  np.testing.assert_array_equal(noisy(0, train=False), noisy(1, train=False))
  assert (noisy(0, train=True) != noisy(1, train=True)).any()


@pytest.mark.parametrize('options, message', [
    ({'null': 'last'}, "'first' or 'mean'; got 'last'"),
    ({'causal': True}, 'the first token sees no other, .*head.null=mean'),
    ({'dropout': 1.0}, 'SpanConfig.dropout should')])
def test_heads_that_cannot_work_are_refused(options, message):
  with pytest.raises(errors.InputError, match=message):
    span.SpanConfig(**options)
  assert span.SpanConfig(null='mean', causal=True).causal
