"""Caches by hand, and rings against caches of all tokens."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import cost
from lmjax.models.presets import decoders
from lmjax.nn import attend
from lmjax.nn import attention
from lmjax.nn import caches
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.testing import hot
from lmjax.testing import invariance

X = np.random.default_rng(0).normal(size=(2, 12, 8)).astype(np.float32)
WHERE = np.arange(12)[None]
extend = jax.jit(lambda cache, *new: cache.extend(*new))


def test_each_row_is_written_from_its_own_slot_on():
  cache = caches.Contiguous.empty((2, 1, 4, 1), jnp.float32)
  new_BTKH = jnp.arange(1.0, 5.0).reshape(2, 2, 1, 1)
  cache, keys = cache.extend(new_BTKH, -new_BTKH, jnp.array([0, 2]))
  want = [[1, 2, 0, 0], [0, 0, 3, 4]]
  assert cache.k_BKSH[:, 0, :, 0].tolist() == want
  assert keys.k_BSKH[:, :, 0, 0].tolist() == want
  assert (keys.v_BSKH == -keys.k_BSKH).all() and keys.slots_BS is None


@pytest.mark.parametrize('pieces', [
    (1,) * 9, (2, 1, 1, 4, 1), (9,), (3, 3, 3), (1, 7, 1)])
def test_a_ring_holds_the_last_tokens_and_says_which(pieces):
  cache = caches.Ring.empty((2, 1, 3, 1), jnp.float32)
  first_B = np.array([0, 0])
  for count in pieces:
    slots_BT = first_B[:, None] + np.arange(count)
    new_BTKH = np.float32(100 + slots_BT)[:, :, None, None]
    cache, keys = extend(cache, new_BTKH, -new_BTKH, first_B)
    keys = jax.device_get(keys)
    first_B = first_B + count
    for row in range(2):
      seen = {int(slot): float(key) for slot, key in zip(
          keys.slots_BS[row], keys.k_BSKH[row, :, 0, 0]) if slot >= 0}
      assert seen == {slot: 100.0 + slot for slot in seen}
      wanted = range(max(0, first_B[row] - count - 2), first_B[row])
      assert set(wanted) <= set(seen) <= set(range(first_B[row]))
      assert sum(np.asarray(keys.slots_BS[row]) >= 0) == len(seen)
  assert sorted(np.asarray(cache.k_BKSH)[0, 0, :, 0].tolist()) == [
      106, 107, 108]


@pytest.mark.slow
@pytest.mark.parametrize('heads', [1, None])
def test_attention_by_a_ring_is_attention_by_a_whole_cache(heads):
  """Rows at different slots, with a bias, by several tokens and by one."""
  config = attention.AttentionConfig(2, heads, window=3)
  module = config.build(
      layers.Policy(), positions.Rotary(), attend.plain)
  params = hot.hot_params(jax.eval_shape(
      module.init, jax.random.key(0), X, masks.of_length(12))['params'])
  ring = config.empty_cache(2, 12, 8, jnp.float32)
  assert isinstance(ring, caches.Ring) and ring.k_BKSH.shape[2] == 3
  whole = caches.Contiguous.empty((2, *ring.k_BKSH.shape[1:2], 12, 4), 'float32')
  ahead_B = np.array([0, 2])  # The second row begins with two of padding.
  segments_BS = (WHERE >= ahead_B[:, None]).astype(np.int32)
  where_BS = np.maximum(WHERE - ahead_B[:, None], 0)
  bias_BNTS = np.random.default_rng(1).normal(size=(1, 2, 12, 12)).astype(
      np.float32)
  apply = jax.jit(module.apply)
  start = 0
  for count in (2, 1, 4, 1, 1, 3):
    cut = slice(start, start + count)
    real_BS = segments_BS * (WHERE < start + count)
    mask = masks.Mask(
        where_BS[:, cut], where_BS, segments_BS[:, cut], real_BS)
    outs = []
    for cache in (ring, whole):
      out, cache = apply(
          {'params': params}, X[:, cut], mask, bias_BNTS[:, :, cut], cache,
          np.full(2, start))
      outs.append((np.where(segments_BS[:, cut, None] > 0, out, 0), cache))
    (got, ring), (want, whole) = outs
    np.testing.assert_allclose(got, want, atol=2e-6)
    start += count


def test_a_window_as_long_as_the_cache_needs_no_ring():
  for window, kind in ((7, caches.Ring), (8, caches.Contiguous),
                       (None, caches.Contiguous)):
    config = attention.AttentionConfig(2, window=window)
    assert type(config.empty_cache(1, 8, 4, jnp.float32)) is kind


@pytest.mark.parametrize('place', [
    positions.Rotary(), pytest.param(
        positions.Relative(num_buckets=4, max_distance=8),
        marks=pytest.mark.slow)])
def test_a_model_with_a_window_decodes_as_it_reads(place):
  config = decoders.llama(16, 2, 2, 1, 24, vocab_size=13, context=16)
  config = dataclasses.replace(
      config, positions=place, block=dataclasses.replace(
          config.block, mixer=dataclasses.replace(
              config.block.mixer, window=3)))
  model, params = config.build(), hot.hot_params(cost.shapes(config))
  def decode(batch, cache):
    x_BTD, cache = model.apply(
        {'params': params}, batch['inputs'],
        masks.make(batch['positions'], batch['segments']), cache=cache,
        method='hidden')
    return model.apply({'params': params}, x_BTD, method='logits'), cache
  invariance.cached_decode_equals_full(
      decode, model.empty_cache, vocab_size=13)


def test_a_row_is_inserted_whatever_its_axis():
  cache = {'a': jnp.zeros((3, 2)), 'stacked': jnp.zeros((4, 3, 2)),
           'count': jnp.zeros(3, jnp.int32)}
  row = {'a': jnp.ones((1, 2)), 'stacked': jnp.ones((4, 1, 2)),
         'count': jnp.full(1, 7)}
  got = jax.jit(caches.insert)(cache, row, 1)
  assert got['count'].tolist() == [0, 7, 0]
  assert got['a'].sum(axis=1).tolist() == [0, 2, 0]
  assert got['stacked'].sum(axis=(0, 2)).tolist() == [0, 8, 0]
  alone = caches.insert(row, row, 0)
  assert jax.tree.map(jnp.shape, alone) == jax.tree.map(jnp.shape, row)


def test_a_row_with_another_room_is_refused():
  with pytest.raises(errors.InputError, match='room for as many tokens'):
    caches.insert(jnp.zeros((3, 8)), jnp.zeros((1, 9)), 0)
  with pytest.raises(errors.InputError, match=r'\(2, 8\) does not fit'):
    caches.insert(jnp.zeros((3, 8)), jnp.zeros((2, 8)), 0)
