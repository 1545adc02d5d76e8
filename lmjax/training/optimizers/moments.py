"""Optimizer state in bfloat16, at half the memory, rounded at random.

A moment changes by a small share of itself at a step: by 0.001 of it where b2
is 0.999. bfloat16 has 8 bits, so that rounding to the nearest number would undo
every such change. Rounded up or down with the odds that make the mean right,
small changes add up.
"""
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lmjax.core import trees


class Rounded(NamedTuple):
  """The state of an optimizer whose moments are bfloat16.

  Attributes:
    count: Updates made so far: what the roundings are drawn by.
    state: That of the optimizer.
  """
  count: jax.Array
  state: Any


def in_bfloat16(
    optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
  """Returns `optimizer` with what it keeps of each parameter in bfloat16.

  An update is computed in float32, from the moments before they are rounded.
  The roundings depend on the step alone, not on seed or devices, so that a run
  that is resumed or divided makes the same.

  Args:
    optimizer: Any whose state holds trees of the parameters' names and shapes;
      arrays of other shapes stay as they are.

  References:
    Gupta et al., Deep Learning with Limited Numerical Precision,
    arXiv:1502.02551, section 3.
  """
  def init(params):
    state = _map_moments(
        lambda leaf, _: leaf.astype(jnp.bfloat16), optimizer.init(params),
        params)
    return Rounded(jnp.zeros([], jnp.int32), state)

  def update(updates, rounded, params=None):
    state = _map_moments(
        lambda leaf, _: leaf.astype(jnp.float32), rounded.state, updates)
    updates, state = optimizer.update(updates, state, params)
    # The generator whose bits do not depend on how an array is divided.
    key = jax.random.fold_in(
        jax.random.key(0, impl='threefry2x32'), rounded.count)
    state = _map_moments(
        lambda leaf, index: stochastically(
            leaf, jax.random.fold_in(key, index)), state, updates)
    return updates, Rounded(optax.safe_increment(rounded.count), state)

  return optax.GradientTransformation(init, update)


def stochastically(x: jax.Array, key: jax.Array) -> jax.Array:
  """Returns float32 numbers as one of the two bfloat16 ones around each.

  The nearer one is the likelier, so that the mean is `x`. Infinities and NaN
  stay what they are.
  """
  bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
  noise = jax.random.bits(key, x.shape, jnp.uint16).astype(jnp.uint32)
  kept = ((bits + noise) >> 16).astype(jnp.uint16)  # A carry rounds up.
  return jnp.where(
      jnp.isfinite(x), jax.lax.bitcast_convert_type(kept, jnp.bfloat16),
      x.astype(jnp.bfloat16))


def _map_moments(function, state, params):
  """Maps `function(leaf, index)` over what is kept of each parameter."""
  shapes = {path: leaf.shape for path, leaf in trees.items(params)}
  index = 0

  def mapped(path, leaf):
    nonlocal index
    index += 1
    parts = path.split('/')
    is_moment = jnp.issubdtype(leaf.dtype, jnp.floating) and any(
        shapes.get('/'.join(parts[i:])) == leaf.shape
        for i in range(len(parts)))
    return function(leaf, index) if is_moment else leaf

  return trees.map_paths(mapped, state)
