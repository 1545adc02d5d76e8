"""Groups, grids, and the gradients of `fan_out` and `fan_in`."""
import functools

import jax
from jax.sharding import PartitionSpec as P
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.nn.distributed import collectives

X = np.arange(16, dtype=np.float32).reshape(8, 2)  # Two numbers on each of eight devices.


def on_devices(function, *args):
  return np.asarray(jax.pmap(function, axis_name='devices')(*args))


def test_an_axis_without_groups_is_all_devices():
  axis = collectives.named('devices')
  assert collectives.named(axis) is axis
  assert on_devices(lambda x: x * 0 + axis.size, X).max() == 8
  assert on_devices(lambda x: axis.index(), X).tolist() == list(range(8))
  np.testing.assert_array_equal(
      on_devices(axis.sum, X), np.tile(X.sum(0), (8, 1)))
  np.testing.assert_array_equal(
      on_devices(axis.shift, X), np.roll(X, 1, axis=0))


@pytest.mark.parametrize('key, sizes', [
    ('data', dict(data=4, model=2)), ('stage', dict(data=1, stage=4, model=2)),
    ('model', dict(data=2, model=4))])
def test_a_grid_is_a_mesh_laid_over_one_axis(key, sizes):
  axes = collectives.grid('devices', **sizes)
  axis, where = axes[key], list(axes).index(key)
  mesh = np.asarray(X).reshape(*sizes.values(), 2)
  index = np.indices(mesh.shape[:-1])[where].reshape(8)
  assert on_devices(lambda x: axis.index(), X).tolist() == index.tolist()
  np.testing.assert_array_equal(
      on_devices(axis.sum, X).reshape(mesh.shape),
      np.broadcast_to(mesh.sum(where, keepdims=True), mesh.shape))
  np.testing.assert_array_equal(
      on_devices(axis.shift, X).reshape(mesh.shape), np.roll(mesh, 1, where))


def test_gathering_and_exchanging_stay_within_groups():
  axis = collectives.grid('devices', data=4, model=2)['model']
  gathered = on_devices(lambda x: axis.gather(x, 0), X)
  exchanged = on_devices(lambda x: axis.exchange(x, 0, 0), X)
  for first in range(0, 8, 2):
    pair = np.asarray(X[first:first + 2])
    for place in (0, 1):
      np.testing.assert_array_equal(gathered[first + place], pair.reshape(-1))
      np.testing.assert_array_equal(exchanged[first + place], pair[:, place])


@pytest.mark.parametrize('groups', [
    ((0, 1), (2,)), ((0, 1), (1, 2)), ((0, 2), (3, 4))])
def test_groups_that_are_no_partition_are_refused(groups):
  with pytest.raises(errors.InputError, match='of one size'):
    collectives.Axis('devices', groups)


def test_groups_of_another_number_of_devices_are_refused():
  axis = collectives.grid('devices', data=2, model=2)['model']
  with pytest.raises(errors.InputError, match='cover 4 .* axis has 8'):
    on_devices(lambda x: x * axis.size, X)
  with pytest.raises(errors.InputError, match='model should be at least 1'):
    collectives.grid('devices', data=2, model=0)


# -- y = w2 tanh(w1 x), its hidden units divided over the devices of a group

W1, W2, X3 = (np.random.default_rng(0).normal(size=shape).astype(np.float32)
              for shape in ((3, 8), (8, 3), (5, 3)))


def loss(w1, w2, x, into=lambda x: x, out=lambda y: y):
  y = out(jnp.tanh(into(x) @ w1) @ w2)
  return jnp.sum(jnp.sin(y))


def divided(into, out):
  """Returns gradients of w1, w2 and x, from 2 groups of 4 devices."""
  w1 = np.tile(W1.reshape(3, 4, 2).swapaxes(0, 1), (2, 1, 1))
  w2 = np.tile(W2.reshape(4, 2, 3), (2, 1, 1))
  gradients = jax.pmap(
      jax.grad(functools.partial(loss, into=into, out=out), (0, 1, 2)),
      axis_name='devices', in_axes=(0, 0, None))(w1, w2, X3)
  d_w1, d_w2, d_x = (np.asarray(x) for x in gradients)
  return d_w1[:4].swapaxes(0, 1).reshape(3, 8), d_w2[4:].reshape(8, 3), d_x


AXIS = collectives.grid('devices', data=2, model=4)['model']


@functools.cache
def wanted():
  """Returns gradients of w1, w2 and x, from one device."""
  return jax.jit(jax.grad(loss, (0, 1, 2)))(W1, W2, X3)


def test_the_pair_gives_the_gradients_of_one_device():
  d_w1, d_w2, d_x = divided(lambda x: collectives.fan_out(x, AXIS),
                            lambda y: collectives.fan_in(y, AXIS))
  np.testing.assert_allclose(d_w1, wanted()[0], atol=1e-5)
  np.testing.assert_allclose(d_w2, wanted()[1], atol=1e-5)
  for on_device in d_x:
    np.testing.assert_allclose(on_device, wanted()[2], atol=1e-5)


def test_the_pair_works_in_shard_map_on_a_mesh():
  mesh = jax.make_mesh((2, 4), ('data', 'model'),
                       axis_types=(jax.sharding.AxisType.Auto,) * 2)
  axis = collectives.Axis('model')
  specs = P(None, 'model'), P('model'), P()
  got = jax.jit(jax.shard_map(
      jax.grad(functools.partial(
          loss, into=lambda x: collectives.fan_out(x, axis),
          out=lambda y: collectives.fan_in(y, axis)), (0, 1, 2)),
      mesh=mesh, in_specs=specs, out_specs=specs, check_vma=False))(W1, W2, X3)
  for one, want in zip(got, wanted()):
    np.testing.assert_allclose(one, want, atol=1e-5)


def test_a_plain_sum_multiplies_gradients_by_the_number_of_devices():
  d_w1, d_w2, d_x = divided(lambda x: x, AXIS.sum)
  np.testing.assert_allclose(d_w1, 4 * wanted()[0], atol=1e-4)
  np.testing.assert_allclose(d_w2, 4 * wanted()[1], atol=1e-4)
  # And each device has another part of the input's gradient.
  np.testing.assert_allclose(d_x[:4].sum(0), 4 * wanted()[2], atol=1e-4)
  assert np.abs(d_x[0] - d_x[1]).max() > 0.1


def test_varying_gives_a_constant_the_type_of_data():
  mesh = jax.sharding.Mesh(np.array(jax.devices()), ('devices',))
  spec = jax.sharding.PartitionSpec('devices')

  def count(x):
    def body(_, total):
      return total + x
    zeros = collectives.varying(jnp.zeros(x.shape), {'x': x})
    return jax.lax.fori_loop(0, 3, body, zeros)

  for check_vma in (True, False):
    np.testing.assert_array_equal(jax.jit(jax.shard_map(
        count, mesh=mesh, in_specs=spec, out_specs=spec,
        check_vma=check_vma))(X), 3 * X)
  assert np.isfinite(collectives.varying(
      jnp.zeros(2), jnp.full(3, np.nan))).all()
