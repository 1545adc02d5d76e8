"""An equal average of parameters, started when held-out loss stops falling."""
from collections.abc import Sequence
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from lmjax.core import ranges

WAITING = -1  # The count of averaged parameters before the average has begun.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class NonMonotone:
  """Starts the average after `patience` evaluations without improvement.

  From then on the average is evaluated and kept in place of the last
  parameters. With plain SGD at a constant rate this is NT-ASGD.

  Attributes:
    patience: The number n of recent evaluations that are ignored: the average
      starts when an evaluation is worse than the best one before these n.

  References:
    Merity et al., arXiv:1708.02182, section 3, algorithm 1.
  """
  patience: ranges.Count = 5

  def begins(self, scores: Sequence[float]) -> bool:
    """Returns whether the last score (lower is better) starts the average."""
    *before, last = scores
    return (len(before) > self.patience
            and last > min(before[:-self.patience]))


def update(average: Any, params: Any, count: jax.Array
           ) -> tuple[Any, jax.Array]:
  """Returns the average updated with one more parameter tree, and its count.

  Args:
    average: The average of `count` trees.
    params: The new tree.
    count: int32; if it is `WAITING`, `params` and `WAITING` are returned.
  """
  share = 1 / (jnp.maximum(count, 0) + 1)
  average = jax.tree.map(
      lambda a, p: (a + share * (p - a)).astype(a.dtype), average, params)
  return average, jnp.where(count == WAITING, count, count + 1)
