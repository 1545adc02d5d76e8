"""A pipeline of stages equals the layers applied one after another."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import draws
from lmjax.core import errors
from lmjax.core import placement
from lmjax.nn.distributed import stages
from lmjax.parallel import sharding

L, B, T, D = 4, 8, 3, 5
RNG = np.random.default_rng(0)
PARAMS = {'w': RNG.normal(size=(L, D, D)).astype(np.float32) / 2}
X_BTD = RNG.normal(size=(B, T, D)).astype(np.float32)
# One array with a row for each of x's, one that all rows share.
OTHERS = {
    'scale_BT': np.linspace(0.5, 1.5, B * T, dtype=np.float32).reshape(B, T),
    'shift_1T': np.ones((1, T), np.float32), 'none': None}


def layer(params, x_BTD, others, key):
  x_BTD = jnp.tanh(x_BTD @ params['w']) * others['scale_BT'][..., None]
  x_BTD += others['shift_1T'][..., None]
  if key is not None:
    x_BTD *= draws.bernoulli(key, 0.5, x_BTD.shape)
  return x_BTD, {}


def one_by_one(params, x_BTD, keys_L=(None,) * L):
  for i in range(L):
    x_BTD, _ = layer({'w': params['w'][i]}, x_BTD, OTHERS, keys_L[i])
  return x_BTD


def piped(sizes, parts, keys_L=None, others=OTHERS):
  """Returns a function of (params, x_BTD) that runs on a mesh."""
  sizes = sharding.parse(sizes)
  shape = tuple(sizes.values())
  mesh = jax.sharding.Mesh(
      np.array(jax.devices()[:np.prod(shape)]).reshape(shape), sharding.AXES,
      axis_types=(jax.sharding.AxisType.Auto,) * len(shape))

  def inside(params, x_BTD):
    with placement.divided(mesh, sharding.LOGICAL, parts):
      return stages.run(layer, params, x_BTD, others, keys_L)[0]
  return jax.jit(inside)


@pytest.mark.parametrize('sizes, parts', [
    ('stage:4', 1), ('stage:2', 8), ('stage:4,data:2', 4),
    ('stage:2,data:2', 2)])
def test_equals_one_layer_after_another(sizes, parts):
  def both(function):
    loss = lambda *args: jnp.sum(jnp.sin(function(*args)))
    return jax.jit(lambda *args: (
        function(*args), jax.grad(loss, argnums=(0, 1))(*args)))(PARAMS, X_BTD)
  jax.tree.map(
      functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6),
      both(piped(sizes, parts)), both(one_by_one))


def test_every_stage_holds_its_layers_alone():
  function = piped('stage:4', 2)
  out = function.lower(PARAMS, X_BTD).compile()
  text = out.as_text()
  assert 'all-gather' not in text
  # Of one part of the batch each turn: it and what belongs to its rows.
  assert f'f32[1,{B // 2},{T},{D}]' in text


@pytest.mark.slow
def test_dropout_is_the_same_through_any_stages_and_parts():
  keys = jax.random.split(jax.random.key(7), L)
  want = jax.jit(one_by_one)(PARAMS, X_BTD, keys)
  for sizes, parts in (('stage:2', 4), ('stage:4', 4), ('stage:4', 2),
                       ('stage:2,data:2', 2)):
    np.testing.assert_allclose(
        piped(sizes, parts, keys)(PARAMS, X_BTD), want, rtol=1e-6)
  # Neither layers nor rows share their bits.
  same = piped('stage:2', 4, keys)(
      {'w': np.zeros((L, D, D), np.float32)}, np.tile(X_BTD[:1], (B, 1, 1)))
  assert len(np.unique(np.asarray(same).reshape(B, -1), axis=0)) > B / 2


@pytest.mark.parametrize('sizes, parts', [('stage:2', 3), ('stage:3', 2)])
def test_what_does_not_divide_is_refused(sizes, parts):
  with pytest.raises(errors.InputError, match='8 rows.*4 layers'):
    piped(sizes, parts)(PARAMS, X_BTD)
