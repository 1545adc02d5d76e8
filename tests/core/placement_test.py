"""Activations are divided as told, and left alone where nobody told."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import placement

TABLE = {'rows': ('data',), 'tokens': ('sequence',), 'heads': ('tensor',)}


@pytest.fixture
def mesh():
  return jax.sharding.Mesh(
      np.array(jax.devices()).reshape(2, 1, 4), ('data', 'sequence', 'tensor'),
      axis_types=(jax.sharding.AxisType.Auto,) * 3)


def lies(mesh, function, x, cut):
  """Returns the spec that `function` of an array cut like this comes out in."""
  def inside(x):
    with placement.divided(mesh, TABLE):
      return function(x)
  x = jax.device_put(x, jax.sharding.NamedSharding(
      mesh, jax.sharding.PartitionSpec(*cut)))
  out = jax.jit(inside)(x)
  np.testing.assert_array_equal(out, x)
  return tuple(out.sharding.spec) + (None,) * (x.ndim - len(out.sharding.spec))


def test_rows_divides_the_first_axis_and_no_other(mesh):
  x = jnp.arange(64.0).reshape(8, 8)
  assert lies(mesh, placement.tokens, x, (None, 'tensor')) == ('data', 'tensor')
  assert lies(mesh, placement.tokens, x, ('tensor', None))[0] == 'data'
  assert lies(mesh, placement.tokens, x[:3], (None, 'tensor')) == (
      None, 'tensor')  # 3 rows do not divide.


def test_whole_gathers_one_axis_and_no_other(mesh):
  x = jnp.arange(64.0).reshape(8, 8)
  assert lies(mesh, lambda x: placement.whole(x, -1), x,
              ('data', 'tensor')) == ('data', None)


def test_outside_nothing_is_constrained():
  text = str(jax.make_jaxpr(
      lambda x: placement.whole(placement.tokens(x), 0))(jnp.ones((8, 2))))
  assert 'sharding_constraint' not in text


def test_leaving_ends_it(mesh):
  with placement.divided(mesh, TABLE):
    pass
  x = jnp.ones((8, 2))
  assert placement.tokens(x) is x
