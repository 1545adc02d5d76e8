"""The total of a loss and its gradient, for all forms that losses return."""
from collections.abc import Callable, Mapping
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

# loss(params, batch) -> {'loss': Mean, ...}, a Mean, (total, weight), or a
# scalar that is the mean over the batch's weights.
Loss = Callable[[Any, Mapping[str, Any]], Any]


def sums(loss: Loss, params: Any, batch: Mapping[str, Any]) -> tuple[Any, Any]:
  """Returns the summed loss of a batch and the weight to divide it by.

  Args:
    loss: An objective that returns a dict with a `Mean` called 'loss', or a
      `Mean` (any object with `total` and `weight`), or a pair (total, weight),
      or the scalar mean over `batch['weights']`.
    params: The parameters.
    batch: The batch.

  Example:
    >>> batch = {'weights': np.array([1., 1., 0.])}
    >>> [float(x) for x in sums(lambda params, batch: 3.0, None, batch)]
    [6.0, 2.0]
  """
  value = loss(params, batch)
  if isinstance(value, Mapping):
    value = value['loss']
  if hasattr(value, 'total'):
    return value.total, value.weight
  if isinstance(value, tuple):
    return value
  weight = jnp.sum(jnp.asarray(batch['weights']))
  return jnp.asarray(value) * weight, weight


@functools.lru_cache(maxsize=16)  # Checks of one loss share the compilation.
def with_gradient(loss: Loss) -> Callable[..., dict[str, Any]]:
  """Returns a compiled function of the sums of a loss and the gradient.

  Args:
    loss: As in `sums`.

  Returns:
    `f(params, batch) -> {'total', 'weight', 'gradient'}`, with the gradient of
    the total.
  """
  @jax.jit
  def compiled(params, batch):
    (total, weight), gradient = jax.value_and_grad(
        lambda params: sums(loss, params, batch), has_aux=True)(params)
    return {'total': total, 'weight': weight, 'gradient': gradient}

  def checked(params, batch):
    out = jax.device_get(compiled(params, batch))
    for leaf in jax.tree.leaves(out):
      if not np.all(np.isfinite(leaf)):
        raise AssertionError(
            'The loss or its gradient is not finite. Look for a row whose '
            'tokens are all masked, a division by a weight of 0, or NaN that '
            'is multiplied by 0 instead of being replaced.')
    return out

  return checked


def alive(what: str, result: dict[str, Any]) -> None:
  """Raises AssertionError if a gradient is all zero, which proves nothing."""
  if not any(np.any(leaf) for leaf in jax.tree.leaves(result['gradient'])):
    raise AssertionError(
        f'{what} proves nothing: the gradient is zero everywhere. Does the '
        'loss use the parameters it is given, and count any token?')
