"""A classifier equals backbone, pooling and head; padding has no effect."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.models import cost
from lmjax.models import electra
from lmjax.models import encoder
from lmjax.models import encoder_decoder
from lmjax.models.heads import pooled as pooled_lib
from lmjax.models.heads import warm_start
from lmjax.models import lstm
from lmjax.models import parts
from lmjax.models.presets import decoders
from lmjax.models import xlnet
from lmjax.testing import hot

TINY = decoders.gpt2(16, 1, 2, vocab_size=11, context=8)
INPUTS = np.array([[3, 4, 5, 6, 0, 0], [7, 8, 9, 1, 2, 10]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 1, 0, 0], [1] * 6], np.int32)
POSITIONS = np.arange(6, dtype=np.int32)[None] * SEGMENTS


def built(backbone=TINY, **options):
  model = pooled_lib.PooledConfig(**options).build(backbone, 3)
  shapes = jax.eval_shape(
      model.init, jax.random.key(1), INPUTS, POSITIONS, SEGMENTS)['params']
  return model, hot.hot_params(shapes, std=0.4)


@functools.partial(jax.jit, static_argnames='model')
def apply(model, params, inputs=INPUTS, positions=POSITIONS, segments=SEGMENTS):
  return model.apply({'params': params}, inputs, positions, segments)


@pytest.mark.parametrize('tied', [True, False])
def test_parameters_are_the_backbones_and_a_head(tied):
  backbone = dataclasses.replace(TINY, head=parts.Head(tied=tied))
  _, params = built(backbone)
  pretrained = cost.shapes(backbone)
  own = {path: leaf.shape for path, leaf in trees.items(params)}
  assert own.pop('classes/kernel') == (16, 3)
  assert own.pop('classes/bias') == (3,)
  theirs = {path: leaf.shape for path, leaf in trees.items(pretrained)}
  theirs.pop('head/kernel', None)
  assert own == theirs


@jax.jit
def backbone_alone(params, inputs_T):
  return TINY.build().apply(
      {'params': params}, inputs_T[None], method='hidden')[0][0]


@pytest.mark.parametrize('pooling', sorted(pooled_lib.POOLING))
def test_logits_are_the_head_on_the_pooled_backbone(pooling):
  model, params = built(pooling=pooling)
  pretrained = hot.hot_params(cost.shapes(TINY), seed=5, std=0.4)
  params = warm_start.warm_start(params, pretrained, TINY)
  logits = apply(model, params)
  for row, size in enumerate((4, 6)):  # The decoder itself, without padding.
    hidden = np.asarray(
        backbone_alone(pretrained, INPUTS[row, :size]), np.float64)
    pooled = {'mean': hidden.mean(axis=0), 'max': hidden.max(axis=0),
              'last': hidden[-1]}[pooling]
    expected = params['classes']['bias'] + pooled @ np.asarray(
        params['classes']['kernel'], np.float64)
    np.testing.assert_allclose(logits[row], expected, atol=1e-5)


@pytest.mark.parametrize('causal', [True, False])
@pytest.mark.parametrize('pooling', sorted(pooled_lib.POOLING))
def test_padding_changes_nothing(pooling, causal):
  model, params = built(pooling=pooling, causal=causal)
  logits = apply(model, params)
  other = np.where(SEGMENTS > 0, INPUTS, 9)
  np.testing.assert_array_equal(
      apply(model, params, other), logits)
  wider = [np.pad(x, ((0, 0), (0, 2))) for x in (INPUTS, POSITIONS, SEGMENTS)]
  np.testing.assert_allclose(
      apply(model, params, *wider), logits, atol=1e-5)


def test_only_without_a_causal_mask_do_tokens_see_what_follows(monkeypatch):
  monkeypatch.setitem(pooled_lib.POOLING, 'probe', lambda x_BTD, _: x_BTD[:, 0])
  shorter = SEGMENTS * (np.arange(6) < 3)[None]
  for causal in (True, False):
    _, params = built(causal=causal)
    hidden = []
    for segments in (shorter, SEGMENTS):  # What the first token becomes.
      model = pooled_lib.PooledConfig(
          causal=causal, pooling='probe').build(TINY, 3)
      hidden.append(apply(model, params, segments=segments)[0])
    assert np.allclose(hidden[0], hidden[1], atol=1e-6) == causal


def test_dropout_is_on_only_in_training():
  model, params = built(dropout=0.5)
  @functools.partial(jax.jit, static_argnames='train')
  def noisy(seed, train):
    return model.apply(
        {'params': params}, INPUTS, POSITIONS, SEGMENTS, train=train,
        rngs={'dropout': jax.random.key(seed)})
  np.testing.assert_array_equal(noisy(0, train=False), noisy(1, train=False))
  assert (noisy(0, train=True) != noisy(1, train=True)).any()


@pytest.mark.slow
def test_every_parameter_has_a_finite_gradient():
  model, params = built()
  grads = jax.jit(jax.grad(lambda p: jnp.sum(jnp.square(model.apply(
      {'params': p}, INPUTS, POSITIONS, SEGMENTS)))))(params)
  for path, leaf in trees.items(grads):
    assert jnp.isfinite(leaf).all() and (
        path.endswith('key/bias') or jnp.abs(leaf).max() > 0), path


def test_a_row_of_padding_is_finite():
  for pooling in pooled_lib.POOLING:
    model, params = built(pooling=pooling)
    logits = apply(model, params, INPUTS * 0, POSITIONS * 0, SEGMENTS * 0)
    assert jnp.isfinite(logits).all()


def test_bad_choices_are_refused():
  with pytest.raises(errors.InputError, match='pooling'):
    pooled_lib.PooledConfig(pooling='first')
  with pytest.raises(errors.InputError, match='dropout'):
    pooled_lib.PooledConfig(dropout=1.0)


BACKBONES = {
    'encoder': encoder.EncoderConfig(
        vocab_size=11, context=8, width=16, num_layers=1),
    'electra': electra.ElectraConfig(
        encoder.EncoderConfig(vocab_size=11, context=8, width=8, num_layers=1,
                              embed=parts.TypedEmbed(size=16)),
        encoder.EncoderConfig(vocab_size=11, context=8, width=16, num_layers=1,
                              tokens=None, replaced=encoder.ReplacedHead())),
    'encoder_decoder': encoder_decoder.EncoderDecoderConfig(
        vocab_size=11, context=8, width=16, num_layers=1),
    'recurrent': lstm.RecurrentConfig(vocab_size=11, context=8, width=16),
    'xlnet': xlnet.XLNetConfig(
        vocab_size=11, context=8, width=16, num_layers=1, hidden=16),
}


TYPED = BACKBONES | {
    'xlnet': dataclasses.replace(BACKBONES['xlnet'], types=True)}


@pytest.mark.parametrize('name', ['encoder', 'electra', 'xlnet'])
def test_types_tell_the_texts_of_a_pair_apart(name):
  model, params = built(TYPED[name])
  shapes = {path for path, _ in trees.items(params)}
  assert any(path.split('/')[-1] == 'types' or 'types/' in path
             for path in shapes)
  @jax.jit
  def logits(types):
    return model.apply(
        {'params': params}, INPUTS, POSITIONS, SEGMENTS, types_BT=types)
  types = (POSITIONS > 1) & (SEGMENTS > 0)
  pair = logits(types * 1)
  assert np.abs(pair - logits(types * 0)).min() > 1e-3
  swapped = logits((types ^ (SEGMENTS > 0)) * 1)
  # XLNet knows whether two tokens are of one type, not of which.
  assert (np.abs(pair - swapped).max() > 1e-3) == (name != 'xlnet')


@pytest.mark.parametrize('name', BACKBONES)
def test_any_model_is_a_backbone(name):
  model, params = built(BACKBONES[name])
  pretrained = cost.shapes(BACKBONES[name])
  warm = jax.eval_shape(lambda p, q: warm_start.warm_start(
      p, q, BACKBONES[name]), params, pretrained)
  assert trees.count(warm) == trees.count(params)
  logits = apply(model, params)
  assert logits.shape == (2, 3)
  np.testing.assert_allclose(  # Padding is nothing.
      apply(model, params, np.where(SEGMENTS > 0, INPUTS, 9)), logits,
      atol=1e-6)
  assert np.abs(apply(model, params, INPUTS[::-1])[1] - logits[1]).max() > 1e-3
