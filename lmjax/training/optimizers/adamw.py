"""AdamW: Adam with decoupled weight decay."""
import dataclasses

import optax

from lmjax.core import ranges
from lmjax.training.optimizers import optimizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdamW(optimizer.Optimizer):
  """Adam with decoupled weight decay.

  Attributes:
    b1: Decay rate of the average of gradients.
    b2: Decay rate of the average of squared gradients.
    eps: Added to the root of the average of squares, to avoid division by 0.

  References:
    Loshchilov and Hutter, Decoupled Weight Decay Regularization,
    arXiv:1711.05101, algorithm 2.
  """
  b1: ranges.Rate = 0.9
  b2: ranges.Rate = 0.95
  eps: ranges.Positive = 1e-8
  weight_decay: ranges.NonNegative = 0.1

  def rule(self, decay):
    return optax.chain(
        optax.scale_by_adam(self.b1, self.b2, self.eps), decay)
