"""A tagger equals backbone and head on each token; padding has no effect."""
import functools

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.models import cost
from lmjax.models import encoder
from lmjax.models import encoder_decoder
from lmjax.models.heads import token
from lmjax.models.heads import warm_start
from lmjax.models import lstm
from lmjax.models.presets import decoders
from lmjax.models import xlnet
from lmjax.testing import hot

TINY = decoders.gpt2(16, 1, 2, vocab_size=11, context=8)
INPUTS = np.array([[3, 4, 5, 6, 0, 0], [7, 8, 9, 1, 2, 10]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 0, 0], [1] * 6], np.int32)
POSITIONS = np.arange(6, dtype=np.int32)[None] * SEGMENTS


def shapes(backbone=TINY, **options):
  model = token.TokenConfig(**options).build(backbone, 3)
  return model, jax.eval_shape(
      model.init, jax.random.key(1), INPUTS, POSITIONS, SEGMENTS)['params']


@functools.partial(jax.jit, static_argnames='model')
def apply(model, params, inputs=INPUTS):
  return model.apply({'params': params}, inputs, POSITIONS, SEGMENTS)


@jax.jit
def hidden(params, inputs_T):
  return TINY.build().apply(
      {'params': params}, inputs_T[None], method='hidden')[0][0]


def test_logits_are_the_head_on_the_hidden_states_of_each_token():
  model, found = shapes(causal=True)
  pretrained = hot.hot_params(cost.shapes(TINY), seed=5, std=0.4)
  params = warm_start.warm_start(
      hot.hot_params(found, std=0.4), pretrained, TINY)
  assert params['tags']['kernel'].shape == (16, 3)
  logits = apply(model, params)
  for row, size in enumerate((4, 6)):  # The decoder itself, without padding.
    x_TD = np.asarray(hidden(pretrained, INPUTS[row, :size]), np.float64)
    kernel, bias = (np.asarray(params['tags'][name], np.float64)
                    for name in ('kernel', 'bias'))
    expected = x_TD @ kernel + bias
    np.testing.assert_allclose(logits[row, :size], expected, atol=1e-5)
  assert np.isfinite(logits).all()


def test_without_a_causal_mask_tokens_see_what_follows_but_no_padding():
  for causal in (True, False):
    model, found = shapes(causal=causal)
    params = hot.hot_params(found, std=0.4)
    logits = apply(model, params)
    other = INPUTS.copy()
    other[:, 3] = 10  # The last real token of the first row.
    other[0, 4:] = 9  # Padding.
    changed = np.abs(apply(model, params, other) - logits).max(axis=-1)
    assert changed[0, 3] > 1e-3
    assert (changed[0, :3] > 1e-3).all() == (not causal)
    assert causal == (changed[0, :3] == 0).all()
    np.testing.assert_array_equal(  # Padding changes nothing.
        apply(model, params, np.where(SEGMENTS > 0, INPUTS, 9))[0, :4],
        logits[0, :4])


def test_dropout_is_on_only_in_training():
  model, found = shapes(dropout=0.5)
  params = hot.hot_params(found, std=0.4)
  @functools.partial(jax.jit, static_argnames='train')
  def noisy(seed, train):
    return model.apply(
        {'params': params}, INPUTS, POSITIONS, SEGMENTS, train=train,
        rngs={'dropout': jax.random.key(seed)})
  np.testing.assert_array_equal(noisy(0, train=False), noisy(1, train=False))
  assert (noisy(0, train=True) != noisy(1, train=True)).any()


@pytest.mark.parametrize('backbone', [
    encoder.EncoderConfig(vocab_size=11, context=8, width=16, num_layers=1),
    encoder_decoder.EncoderDecoderConfig(
        vocab_size=11, context=8, width=16, num_layers=1),
    lstm.RecurrentConfig(vocab_size=11, context=8, width=16),
    xlnet.XLNetConfig(
        vocab_size=11, context=8, width=16, num_layers=1, hidden=16),
], ids=lambda config: type(config).__name__)
def test_any_model_is_a_backbone(backbone):
  model, params = shapes(backbone)
  warm = jax.eval_shape(lambda p, q: warm_start.warm_start(
      p, q, backbone), params, cost.shapes(backbone))
  assert trees.count(warm) == trees.count(params)
  logits = jax.eval_shape(lambda p: apply(model, p), params)
  assert logits.shape == (2, 6, 3) and logits.dtype == np.float32


def test_bad_dropout_is_refused():
  with pytest.raises(errors.InputError, match='TokenConfig.dropout should'):
    token.TokenConfig(dropout=1.0)
