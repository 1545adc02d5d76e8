"""Stochastic gradient descent, with or without momentum."""
import dataclasses

import optax

from lmjax.core import ranges
from lmjax.training.optimizers import optimizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class SGD(optimizer.Optimizer):
  """Gradient descent with momentum; weight decay is added to the gradient.

  Attributes:
    momentum: Decay rate of the momentum, 0 for none.
    nesterov: Whether to use Nesterov momentum.

  References:
    Sutskever et al., On the importance of initialization and momentum, 2013.
  """
  learning_rate: ranges.Positive = 0.1
  momentum: ranges.Rate = 0.9
  nesterov: bool = False

  def rule(self, decay):
    return optax.chain(
        decay, optax.trace(self.momentum, self.nesterov) if self.momentum
        else optax.identity())
