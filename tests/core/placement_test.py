"""Activations are sharded inside `divided` and unchanged outside."""
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


def test_the_end_of_the_block_ends_the_sharding(mesh):
  with placement.divided(mesh, TABLE):
    pass
  x = jnp.ones((8, 2))
  assert placement.tokens(x) is x


def test_tokens_divides_rows_and_tokens_where_they_divide():
  mesh = jax.sharding.Mesh(
      np.array(jax.devices()).reshape(2, 4, 1), ('data', 'sequence', 'tensor'),
      axis_types=(jax.sharding.AxisType.Auto,) * 3)
  x = jnp.arange(128.0).reshape(4, 8, 4)
  assert lies(mesh, placement.tokens, x, ()) == ('data', 'sequence', None)
  assert lies(mesh, placement.tokens, x[:, :6], ()) == ('data', None, None)


def test_axes_of_size_1_are_omitted(mesh):
  assert placement.axes('rows') == () and placement.count('rows') == 1
  with placement.divided(mesh, TABLE, microbatches=3):
    assert placement.axes('rows') == ('data',)
    assert placement.axes('heads', 8) == ('tensor',)
    assert placement.axes('heads', 6) == ()  # Does not divide by 4.
    assert placement.axes('tokens') == ()  # Of size 1.
    assert placement.axes('unheard of') == ()
    assert (placement.count('rows'), placement.count('tokens')) == (2, 1)
    assert placement.current().microbatches == 3
    assert tuple(placement.spec(rows=3, heads=None, size=5)) == (
        None, 'tensor', None)


def test_over_divides_by_meaning(mesh):
  x = jnp.arange(64.0).reshape(8, 8)
  over = lambda x: placement.over(x, 'heads', axis=1)
  assert lies(mesh, over, x, ()) == (None, 'tensor')


def test_mapped_gives_each_device_its_part(mesh):
  def function(x):
    with placement.divided(mesh, TABLE):
      rows = placement.spec(rows=None)
      return placement.mapped(
          lambda x: jax.lax.psum(jnp.sum(x), 'data') + jnp.zeros(len(x)),
          rows, rows)(x)
  np.testing.assert_array_equal(
      jax.jit(function)(jnp.arange(8.0)), np.full(8, 28.0))
