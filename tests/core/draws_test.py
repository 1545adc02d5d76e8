"""Draws for part of an array equal part of the whole draw, bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import draws

KEY = jax.random.key(5)


@pytest.mark.parametrize('count', [1, 2, 8])
def test_each_device_draws_its_rows(count):
  def on_each_device(_):
    with draws.divided(rows='data'):
      return draws.bernoulli(KEY, 0.3, (16 // count, 6, 5))
  got = jax.pmap(on_each_device, axis_name='data',
                 devices=jax.devices()[:count])(np.zeros(count))
  np.testing.assert_array_equal(
      got.reshape(16, 6, 5), jax.random.bernoulli(KEY, 0.3, (16, 6, 5)))


def test_several_axes_are_divided_at_once_and_by_several_names():
  mesh = jax.sharding.Mesh(
      np.array(jax.devices()).reshape(2, 2, 2), ('a', 'b', 'c'))
  lies = jax.sharding.PartitionSpec(('a', 'b'), None, 'c')

  def on_each_device():
    with draws.divided(rows=('a', 'b')):
      with draws.divided(heads='c'):
        return draws.bernoulli(KEY, 0.5, (2, 3, 4), ('rows', None, 'heads'))
  got = jax.jit(jax.shard_map(
      on_each_device, mesh=mesh, in_specs=(), out_specs=lies,
      check_vma=False))()
  np.testing.assert_array_equal(got, jax.random.bernoulli(KEY, 0.5, (8, 3, 8)))


@pytest.mark.parametrize('partitionable', [True, False])
def test_places_in_any_order(partitionable):
  rows, columns = np.array([3, 15, 0]), np.array([5, 1])
  parts = dict(rows=draws.Places(jnp.asarray(rows), 16),
               columns=draws.Places(jnp.asarray(columns), 6))
  with jax.threefry_partitionable(partitionable):
    whole = np.asarray(jax.random.bernoulli(KEY, 0.3, (16, 2, 6)))
    def parted():
      with draws.divided(**parts):
        return draws.bernoulli(KEY, 0.3, (3, 2, 2), ('rows', None, 'columns'))
    got = jax.jit(parted)()
  np.testing.assert_array_equal(got, whole[rows][:, :, columns])


def test_indices_beyond_32_bits():
  # Of an array of 2^38 elements: its last row is drawn like that of a small
  # array whose key's counter is as far, so compare with a slice of the middle.
  def last_of(total):
    row = draws.Places(np.array([total - 1], np.int32), total)
    with draws.divided(rows=row):
      return draws.bernoulli(KEY, 0.5, (1, 2**12, 64))
  end, wrapped = (jax.jit(last_of, static_argnums=0)(total)
                  for total in (2**20, 2**14))
  # Both end at a multiple of 2^32: without the high word they would be equal.
  assert np.mean(np.asarray(end) != np.asarray(wrapped)) > 0.4


@pytest.mark.parametrize('factor', [1, 3, 65537, 2**31 + 7, 2**40 + 12345])
def test_products_are_exact_in_64_bits(factor):
  x = np.random.default_rng(0).integers(0, 2**32, 100, dtype=np.uint32)
  high, low = jax.jit(draws._product, static_argnums=1)(x, factor)
  assert [int(h) << 32 | int(l) for h, l in zip(*map(np.asarray, (
      high, low)))] == [
      int(value) * factor % 2**64 for value in x]


def test_of_rows_returns_the_rows_of_this_device():
  draw = lambda rows: jax.random.split(KEY, rows)
  def on_each_device(_):
    with draws.divided(rows='data'):
      return jax.random.key_data(draws.of_rows(draw, 2))
  got = jax.pmap(on_each_device, axis_name='data')(np.zeros(8))
  np.testing.assert_array_equal(
      got.reshape(16, 2), jax.random.key_data(draw(16)))


def test_undivided_draws_equal_jax():
  np.testing.assert_array_equal(
      draws.bernoulli(KEY, 0.3, (4, 5)), jax.random.bernoulli(KEY, 0.3, (4, 5)))
  with draws.divided(rows=None, heads=()):
    np.testing.assert_array_equal(draws.here('rows', 3).index_N, range(3))
    assert draws.of_rows(lambda rows: jnp.zeros(rows), 3).shape == (3,)


@pytest.mark.parametrize('parts', [2, 4])
def test_draws_in_parts_of_a_batch_equal_draws_at_once(parts):
  want = jax.random.bernoulli(KEY, 0.5, (16, 3))
  draw = lambda rows: jax.random.uniform(KEY, (rows, 2))

  def part(index):
    with draws.every(parts, index):
      return (draws.bernoulli(KEY, 0.5, (16 // parts, 3)),
              draws.of_rows(draw, 16 // parts))

  got, of_rows = jax.lax.map(part, jnp.arange(parts))
  np.testing.assert_array_equal(got.swapaxes(0, 1).reshape(16, 3), want)
  np.testing.assert_array_equal(
      of_rows.swapaxes(0, 1).reshape(16, 2), draw(16))


def test_devices_share_each_part_of_a_batch():
  def on_each_device(_):
    def part(index):
      with draws.divided(rows='data'), draws.every(2, index):
        return draws.bernoulli(KEY, 0.5, (1, 3))
    return jax.lax.map(part, jnp.arange(2))
  got = jax.pmap(on_each_device, axis_name='data')(np.zeros(8))
  np.testing.assert_array_equal(
      got.reshape(16, 3), jax.random.bernoulli(KEY, 0.5, (16, 3)))


def test_given_places_are_used_unchanged():
  with draws.every(2, 1):
    rows = draws.here('rows', 4)
  np.testing.assert_array_equal(rows.index_N, [1, 3, 5, 7])
  assert rows.total == 8
  def second():
    with draws.every(2, 0), draws.divided(rows=rows):
      return draws.bernoulli(KEY, 0.5, (4, 3))
  got = jax.jit(second)()
  np.testing.assert_array_equal(
      got, jax.random.bernoulli(KEY, 0.5, (8, 3))[1::2])
