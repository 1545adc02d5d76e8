"""An equal average of parameters, begun when held-out loss stops falling."""
from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from lmjax.core import errors

WAITING = -1  # Parameters averaged so far, before the average has begun.


@dataclasses.dataclass(frozen=True)
class NonMonotone:
  """Begins to average after `patience` evaluations without improvement.

  With plain SGD at a constant rate this is NT-ASGD: from then on the average,
  not the last parameters, is what is evaluated and kept.

  Attributes:
    patience: n; an evaluation worse than the best of all but the n before it
      begins the average.

  References:
    Merity et al., arXiv:1708.02182, section 3, algorithm 1.
  """
  patience: int = 5

  def __post_init__(self):
    if self.patience < 1:
      raise errors.InputError(
          f'NonMonotone.patience should be at least 1; got {self.patience}.')

  def begins(self, scores: Sequence[float]) -> bool:
    """Returns whether the last of all scores (lower is better) begins it."""
    *before, last = scores
    return (len(before) > self.patience
            and last > min(before[:-self.patience]))


def update(average: Any, params: Any, count: jax.Array
           ) -> tuple[Any, jax.Array]:
  """Returns the average with one more tree of parameters, and how many it has.

  Args:
    average: Of `count` trees; before it has begun, what `params` were.
    params: The new tree.
    count: int32; `WAITING` keeps waiting, and returns the parameters.
  """
  share = 1 / (jnp.maximum(count, 0) + 1)
  average = jax.tree.map(
      lambda a, p: (a + share * (p - a)).astype(a.dtype), average, params)
  return average, jnp.where(count == WAITING, count, count + 1)
