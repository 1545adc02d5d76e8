"""A pair is read as two texts, each independent of the other."""
import functools

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.models import cost
from lmjax.models.heads import paired
from lmjax.models.heads import pooled
from lmjax.models import lstm
from lmjax.models.presets import decoders
from lmjax.testing import hot

TINY = decoders.gpt2(16, 1, 2, vocab_size=11, context=8)
LSTM = lstm.RecurrentConfig(vocab_size=11, context=8, width=16, num_layers=1)
# A of 3 tokens, B of 2; A of 1, B of 5; both texts equal.
INPUTS = np.array([[3, 4, 5, 6, 7, 0], [7, 8, 9, 1, 2, 10], [1, 2, 3, 1, 2, 3]],
                  np.int32)
TYPES = np.array([[0, 0, 0, 1, 1, 0], [0, 1, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1]],
                 np.int32)
SEGMENTS = np.array([[1] * 5 + [0], [1] * 6, [1] * 6], np.int32)
POSITIONS = np.arange(6, dtype=np.int32)[None] * SEGMENTS
PARTS = [(3, 2), (1, 5), (3, 3)]


def built(backbone=TINY, **options):
  model = paired.PairedConfig(**options).build(backbone, 3)
  shapes = jax.eval_shape(
      model.init, jax.random.key(1), INPUTS, POSITIONS, SEGMENTS)['params']
  return model, hot.hot_params(shapes, std=0.4)


@functools.partial(jax.jit, static_argnames='model')
def apply(model, params, inputs=INPUTS, types=TYPES):
  return model.apply(
      {'params': params}, inputs, POSITIONS, SEGMENTS, types_BT=types)


@functools.partial(jax.jit, static_argnames='backbone')
def alone(backbone, params, inputs_T):
  return backbone.build().apply(
      {'params': params}, inputs_T[None], method='hidden')[0][0]


@pytest.mark.parametrize('backbone, pooling', [
    (TINY, 'mean'), (TINY, 'max'), (TINY, 'last'), (LSTM, 'last')],
                         ids=['mean', 'max', 'last', 'lstm'])
def test_the_head_compares_the_texts_as_they_are_read_alone(backbone, pooling):
  model, params = built(backbone, pooling=pooling)
  logits = apply(model, params)
  kernel = np.asarray(params['classes']['kernel'], np.float64)
  pool = {'mean': lambda x: x.mean(axis=0), 'max': lambda x: x.max(axis=0),
          'last': lambda x: x[-1]}[pooling]
  for row, (first, second) in enumerate(PARTS):
    u, v = (pool(np.asarray(alone(backbone, params, ids), np.float64))
            for ids in (INPUTS[row, :first],
                        INPUTS[row, first:first + second]))
    read = np.concatenate([u, v, np.abs(u - v), u * v])
    np.testing.assert_allclose(
        logits[row], read @ kernel + params['classes']['bias'], atol=1e-5)


def test_parameters_are_the_backbones_and_a_head():
  _, params = built()
  own = {path: leaf.shape for path, leaf in trees.items(params)}
  assert own.pop('classes/kernel') == (64, 3)
  assert own.pop('classes/bias') == (3,)
  assert own == {path: leaf.shape
                 for path, leaf in trees.items(cost.shapes(TINY))}


def test_padding_and_the_other_text_change_nothing():
  model, params = built()
  logits = apply(model, params)
  np.testing.assert_array_equal(
      apply(model, params, np.where(SEGMENTS > 0, INPUTS, 9)), logits)
  # Without a second text, its vector is 0.
  single = apply(model, params, types=TYPES * 0)
  assert np.isfinite(single).all() and np.abs(single - logits).max() > 1e-2


def test_what_cannot_be_is_refused():
  with pytest.raises(errors.InputError, match='pooling'):
    paired.PairedConfig(pooling='first')
  with pytest.raises(errors.InputError, match='dropout'):
    paired.PairedConfig(dropout=1.0)
  with pytest.raises(errors.InputError, match='examples have 1; choose'):
    paired.PairedConfig().build(TINY, 3, texts=1)
  assert pooled.PooledConfig().build(TINY, 3, texts=2).outputs == 3
