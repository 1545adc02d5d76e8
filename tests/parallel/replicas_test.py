"""Copies that differ in one bit are found, wherever it is."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.parallel import replicas
from lmjax.parallel import strategy as strategy_lib

DTYPES = ['float32', 'bfloat16', 'float16', 'float8_e4m3fn', 'int32', 'int8',
          'uint16', 'int4', 'bool', 'complex64']


def placed(copies):
  """Returns host arrays, one for each device, as `Pmap.place` lays them out."""
  devices = jax.local_devices()[:len(copies)]
  mesh = jax.sharding.Mesh(
      np.array(devices), ('data',), axis_types=(jax.sharding.AxisType.Auto,))
  return jax.device_put(np.stack(copies), jax.sharding.NamedSharding(
      mesh, jax.sharding.PartitionSpec('data')))


def flipped(array, element, bit):
  """Returns the array with one bit of one element flipped."""
  changed = np.array(array)
  raw = changed.reshape(-1).view(np.uint8)
  size = changed.dtype.itemsize
  raw[element * size + bit // 8] ^= np.uint8(1 << bit % 8)
  return changed


def test_equal_copies_in_a_real_state(toy):
  strategy = strategy_lib.Pmap()
  tree = strategy.place({
      'params': toy.params, 'step': jnp.int32(7), 'rng': jax.random.key(3),
      'mask': jnp.array([True, False]), 'none': None,
      'empty': jnp.zeros((0, 3)),
      'half': jnp.full((3, 5), jnp.nan, jnp.bfloat16)})
  assert not replicas.differing(tree)
  assert not replicas.differing({})
  one = strategy_lib.Pmap(jax.local_devices()[:1])
  assert not replicas.differing(one.place(toy.params))


@pytest.mark.slow
def test_equal_after_an_update_and_seen_when_one_device_drifts(toy):
  """The bug it is for: a device that reads its own index, or rounds alone."""
  strategy = strategy_lib.Pmap()
  params = strategy.place(toy.params)

  def step(params, batch, axis_name, wrong):
    grads = jax.grad(lambda p: toy.objective(p, batch)['loss'].total)(params)
    grads = jax.lax.psum(grads, axis_name)
    new = jax.tree.map(lambda p, g: p - 1e-3 * g, params, grads)
    fifth = (jax.lax.axis_index(axis_name) == 5) & wrong
    kernel = new['head']['kernel']
    new['head']['kernel'] = jnp.where(
        fifth, jnp.nextafter(kernel, jnp.inf), kernel)
    return new

  batch = strategy.shard(toy.batches(0))
  for wrong, expected in (False, []), (True, ['head/kernel on cpu:5']):
    update = jax.pmap(
        lambda p, b, wrong=wrong: step(p, b, 'data', wrong),
        axis_name='data', devices=strategy.devices)
    assert replicas.differing(update(params, batch)) == expected


@pytest.mark.parametrize('dtype', DTYPES)
def test_any_bit_of_any_element(dtype):
  draw, dtype = np.random.default_rng(0), jnp.dtype(dtype)
  array = draw.integers(0, 2, (3, 5)).astype(dtype)
  bits = {'bool': 1, 'int4': 4}.get(dtype.name, 8 * dtype.itemsize)
  names, copies = [], []
  tree, expected = {}, []
  for number in range(12):
    element, bit = draw.integers(15), draw.integers(bits)
    copies = [array] * 4
    copies[number % 4] = flipped(array, element, bit)
    tree[f'{number:02d}'] = placed(copies)
    expected.append(f'{number:02d} on cpu:{number % 4}')
  assert replicas.differing(tree) == expected


@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
def test_bits_count_and_not_values(dtype):
  bits = {4: np.uint32, 2: np.uint16}[jnp.dtype(dtype).itemsize]
  infinity = np.array(np.inf, dtype).view(bits)
  quiet = np.array(np.nan, dtype).view(bits)

  def of(*words):
    return np.array(words, bits).view(jnp.dtype(dtype))

  zero, signalling, payload = 0, infinity + bits(1), quiet + bits(3)
  minus = bits(1) << bits(8 * bits(0).itemsize - 1)
  usual = of(zero, quiet, signalling, payload)
  for i, word in enumerate([minus, payload, quiet, signalling]):
    words = [zero, quiet, signalling, payload]
    words[i] = word
    assert replicas.differing({'x': placed([usual, usual, of(*words)])}) == [
        'x on cpu:2']
  assert not replicas.differing({'x': placed([usual] * 3)})  # NaN is itself.


def test_places_and_exchanges_count():
  array = np.arange(12, dtype=np.float32).reshape(3, 4)
  for changed in array[::-1], np.roll(array, 1), array.T.reshape(3, 4):
    assert replicas.differing({'x': placed([array, array, changed])})


def test_keys():
  keys = placed([jax.random.key_data(jax.random.key(i)) for i in (1, 1, 2)])
  assert replicas.differing({'rng': jax.random.wrap_key_data(keys)}) == [
      'rng on cpu:2']


def test_names_who_disagrees_with_most():
  a, b, c = np.float32([1, 2]), np.float32([1, 3]), np.float32([4, 2])
  tree = {'params': {'x': placed([b, a, a, c, a]), 'y': placed([a] * 5)}}
  assert replicas.differing(tree) == ['params/x on cpu:0, cpu:3']
  assert replicas.differing({'z': placed([a, b])}) == ['z on cpu:1']


def test_64_bits():
  with jax.enable_x64(True):
    for dtype, bit in (np.float64, 3), (np.int64, 40):
      array = np.arange(6).astype(dtype)
      changed = flipped(array, 4, bit)
      assert replicas.differing({'x': placed([array, changed, array])}) == [
          'x on cpu:1']


def test_each_device_reads_its_own_copy_only():
  tree = strategy_lib.Pmap().place({'x': jnp.ones((64, 8)), 'y': jnp.ones(3)})
  compiled = replicas._checksums.lower(jax.tree.leaves(tree)).compile()
  assert not [word for word in ('all-', 'collective', 'reduce-scatter')
              if word in compiled.as_text()]
  assert compiled.output_shardings.spec == jax.sharding.PartitionSpec('data')


def test_arrays_without_copies_are_refused(toy):
  for leaf in jnp.ones((8, 3)), jnp.float32(1):
    with pytest.raises(errors.InputError, match='head has shape .*Pmap.place'):
      replicas.differing({'head': leaf})
