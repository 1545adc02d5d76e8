"""Optimizer state in bfloat16 with stochastic rounding, at half the memory.

A step changes a moment by a small fraction of its value: by 0.001 if b2 is
0.999. bfloat16 has 8 bits of precision, so rounding to nearest would undo each
of these changes. Stochastic rounding keeps the mean right, so small changes add
up.
"""
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from lmjax.core import trees


class Rounded(NamedTuple):
  """The state of an optimizer with bfloat16 moments.

  Attributes:
    count: Number of updates so far, which seeds the rounding.
    state: The state of the optimizer.
  """
  count: jax.Array
  state: Any


def in_bfloat16(
    optimizer: optax.GradientTransformation) -> optax.GradientTransformation:
  """Returns `optimizer` with its state for each parameter kept in bfloat16.

  Updates are computed in float32, from the new moments before these are
  rounded. The rounding depends only on the step, not on seed or devices, so
  that resumed runs and runs on several devices round in the same way.

  Args:
    optimizer: An optimizer whose state contains trees with the names and shapes
      of the parameters. Arrays with other shapes are left unchanged.

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
    # With this generator, bits do not depend on how an array is divided.
    key = jax.random.fold_in(
        jax.random.key(0, impl='threefry2x32'), rounded.count)
    state = _map_moments(
        lambda leaf, index: stochastically(
            leaf, jax.random.fold_in(key, index)), state, updates)
    return updates, Rounded(optax.safe_increment(rounded.count), state)

  return optax.GradientTransformation(init, update)


def stochastically(x: jax.Array, key: jax.Array) -> jax.Array:
  """Rounds float32 numbers to one of the two neighbouring bfloat16 numbers.

  The nearer neighbour is more likely, such that the expected value is `x`.
  Infinities and NaN are kept.
  """
  bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
  noise = jax.random.bits(key, x.shape, jnp.uint16).astype(jnp.uint32)
  kept = ((bits + noise) >> 16).astype(jnp.uint16)  # A carry rounds up.
  return jnp.where(
      jnp.isfinite(x), jax.lax.bitcast_convert_type(kept, jnp.bfloat16),
      x.astype(jnp.bfloat16))


def _map_moments(function, state, params):
  """Maps `function(leaf, index)` over the leaves that belong to a parameter."""
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
