"""RMSProp: gradients divided by their running root mean square."""
import dataclasses

import optax

from lmjax.core import ranges
from lmjax.training.optimizers import optimizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class RMSProp(optimizer.Optimizer):
  """Divides gradients by their running root mean square.

  Weight decay is added to the gradient.

  Attributes:
    b2: Decay rate of the average of squared gradients.
    eps: Added to the root of the average of squares, to avoid division by 0.
    momentum: Decay rate of the momentum, 0 for none.

  References:
    Tieleman and Hinton, Coursera: Neural networks for machine learning,
    lecture 6.5, 2012.
  """
  b2: ranges.Rate = 0.99
  eps: ranges.Positive = 1e-8
  momentum: ranges.Rate = 0.0

  def rule(self, decay):
    return optax.chain(
        decay, optax.scale_by_rms(self.b2, self.eps),
        optax.trace(self.momentum) if self.momentum else optax.identity())
