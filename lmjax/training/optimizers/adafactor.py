"""Adafactor: factored second moments, which need sublinear memory."""
import dataclasses

import optax

from lmjax.core import ranges
from lmjax.training.optimizers import optimizer


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adafactor(optimizer.Optimizer):
  """Keeps second moments as row and column means, in sublinear memory.

  References:
    Shazeer and Stern, Adafactor, arXiv:1804.04235, algorithm 4.

  Attributes:
    decay_power: The decay rate of the second moment is 1 - step^-decay_power.
    clip_update: Largest root mean square of an update of one parameter.
    min_factored: Smallest size of an axis that is factored.
    scale_by_size: Whether updates are multiplied by the parameter's root mean
      square.
  """
  learning_rate: ranges.Positive = 1e-2
  decay_power: ranges.Positive = 0.8
  clip_update: ranges.Positive = 1.0
  min_factored: ranges.Count = 128
  scale_by_size: bool = True

  def rule(self, decay):
    return optax.chain(
        optax.scale_by_factored_rms(
            decay_rate=self.decay_power,
            min_dim_size_to_factor=self.min_factored),
        optax.clip_by_block_rms(self.clip_update),
        optax.scale_by_param_block_rms() if self.scale_by_size
        else optax.identity(),
        decay)
