"""Rules by parameter path for weight decay and freezing.

Rules use paths rather than ranks: in a stack of scanned layers every bias has
two axes and every kernel three, so "decay parameters of rank 2" would be wrong.
"""
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax

from lmjax.core import errors
from lmjax.core import trees

DECAY = (('(kernel|embedding)$', 1.0), ('.*', 0.0))


def decay(
    params: Any, rate: float, rules: Sequence[tuple[str, float]]
) -> optax.GradientTransformation:
  """Returns a transformation that adds `rate * multiplier * parameter`.

  Args:
    params: Parameters or their shapes.
    rate: The weight decay.
    rules: Pairs (pattern, multiplier); the first pattern that matches a path
      counts.

  Raises:
    InputError: If a parameter matches no rule, or a rule no parameter.
  """
  if not rate:
    return optax.identity()
  rates = {path: rate * multiplier
           for path, multiplier in trees.items(trees.match(params, rules))}

  def update(updates, state, params=None):
    def add(path, update, param):
      return update + rates[path] * param if rates[path] else update
    updates = jax.tree_util.tree_map_with_path(
        lambda key, *leaves: add(trees.path_of(key), *leaves), updates, params)
    return updates, state

  return optax.GradientTransformation(lambda _: optax.EmptyState(), update)


def frozen(params: Any, patterns: Sequence[str]) -> Any:
  """Returns a tree of booleans, True for parameters that do not train.

  Raises:
    InputError: If a pattern matches no parameter, or all parameters are frozen.
  """
  still = trees.match(params, [(p, True) for p in patterns] + [('.*', False)])
  if all(jax.tree.leaves(still)):
    raise errors.InputError(
        f'freeze={tuple(patterns)} leaves nothing to train.')
  return still


def train_only_unfrozen(
    optimizer: optax.GradientTransformation, params: Any,
    patterns: Sequence[str],
) -> optax.GradientTransformation:
  """Returns `optimizer` restricted to parameters that match no pattern.

  Frozen parameters have no optimizer state and stay the same bit for bit.
  """
  if not patterns:
    return optimizer
  labels = jax.tree.map(
      lambda still: 'still' if still else 'moving', frozen(params, patterns))
  return optax.partition({'moving': optimizer, 'still': _keep()}, labels)


def _keep() -> optax.GradientTransformation:
  """Updates by -0.0, since x + -0.0 has the bits of x for every x."""
  return optax.stateless(lambda updates, params: jax.tree.map(
      lambda u: jnp.full_like(u, -0.0), updates))


def without_gradient(
    objective: Callable[..., Any], patterns: Sequence[str]
) -> Callable[..., Any]:
  """Returns `objective` without gradients for parameters that match a pattern.

  The optimizer does not change frozen parameters anyway. Without gradients the
  backward pass also needs less time and memory, and `grad_norm` measures only
  the parameters that train.
  """
  if not patterns:
    return objective

  def held(params, batch, rng=None):
    params = jax.tree.map(
        lambda p, still: jax.lax.stop_gradient(p) if still else p,
        params, frozen(params, patterns))
    return objective(params, batch, rng=rng)

  return held
