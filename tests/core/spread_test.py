"""Arrays over many processes; `processes_script_test` runs real ones."""
import jax
import numpy as np

from lmjax.core import spread


class Elsewhere(jax.sharding.NamedSharding):
  """Devices of which some seem to be another process'."""

  @property
  def is_fully_addressable(self):
    return False


def where(*axes, kind=Elsewhere):
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('rows',))
  return kind(mesh, jax.sharding.PartitionSpec(*axes))


def test_put_equals_device_put():
  x = np.arange(48.0).reshape(16, 3)
  plain = where('rows', kind=jax.sharding.NamedSharding)
  for found in spread.put(x, plain), spread.put(x, where('rows')):
    for shard in found.addressable_shards:
      np.testing.assert_array_equal(shard.data, x[shard.index])
    assert found.addressable_shards[3].data.shape == (2, 3)
  np.testing.assert_array_equal(spread.put(x, where()), x)


def test_rows_are_put_at_their_index_in_the_whole():
  x = np.arange(48.0).reshape(16, 3)
  found = []
  sharding = where('rows')
  original = jax.make_array_from_callback

  def only_mine(shape, _, part):
    found.append(shape)
    return [part((slice(8, 10), slice(None))), part((slice(14, 16),
                                                     slice(None)))]

  jax.make_array_from_callback = only_mine
  try:
    first, last = spread.put(x[8:], sharding, 8, 16)
  finally:
    jax.make_array_from_callback = original
  assert found == [(16, 3)]
  np.testing.assert_array_equal(first, x[8:10])
  np.testing.assert_array_equal(last, x[14:])


def test_a_key_stays_a_key():
  key = jax.random.key(3)
  found = spread.put(key, where())
  assert found.dtype == key.dtype
  assert jax.random.bits(found) == jax.random.bits(key)


def test_divided_arrays_are_gathered_on_the_host():
  x = np.arange(16.0)
  found = spread.whole({'a': spread.put(x, where('rows')), 'b': x[:2]})
  np.testing.assert_array_equal(found['a'], x)
  np.testing.assert_array_equal(found['b'], x[:2])
