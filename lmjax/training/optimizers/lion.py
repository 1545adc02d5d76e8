"""Lion: updates by the sign of a momentum."""
import dataclasses

import optax

from lmjax.core import ranges
from lmjax.training.optimizers import optimizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Lion(optimizer.Optimizer):
  """Updates by the sign of an interpolated momentum; weight decay is decoupled.

  Attributes:
    b1: Weight of the momentum in the update; the gradient has weight 1 - b1.
    b2: Decay rate of the momentum.

  References:
    Chen et al., Symbolic Discovery of Optimization Algorithms,
    arXiv:2302.06675, algorithm 2.
  """
  learning_rate: ranges.Positive = 1e-4
  b1: ranges.Rate = 0.9
  b2: ranges.Rate = 0.99
  weight_decay: ranges.NonNegative = 1.0

  def rule(self, decay):
    return optax.chain(optax.scale_by_lion(self.b1, self.b2), decay)
