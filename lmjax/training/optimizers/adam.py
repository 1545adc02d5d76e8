"""Adam, with weight decay added to the gradient."""
import dataclasses

import optax

from lmjax.core import ranges
from lmjax.training.optimizers import optimizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adam(optimizer.Optimizer):
  """Adam, with weight decay added to the gradient (L2 regularization).

  Attributes:
    b1: Decay rate of the average of gradients.
    b2: Decay rate of the average of squared gradients.
    eps: Added to the root of the average of squares, to avoid division by 0.

  References:
    Kingma and Ba, Adam, arXiv:1412.6980, algorithm 1.
  """
  b1: ranges.Rate = 0.9
  b2: ranges.Rate = 0.999
  eps: ranges.Positive = 1e-8

  def rule(self, decay):
    return optax.chain(
        decay, optax.scale_by_adam(self.b1, self.b2, self.eps))
