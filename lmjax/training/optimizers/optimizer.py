"""The base class of optimizers: a frozen dataclass that builds an optax one.

Each optimizer defines its own rule and parameters. Learning rate, schedule,
clipping, weight decay and freezing are common to all. Decay and freezing select
parameters by patterns on their paths (see `rules`). `loop.fit` also accepts any
other optax transformation.
"""
import dataclasses
from typing import Any, Literal

import optax

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.training.optimizers import moments
from lmjax.training.optimizers import rules
from lmjax.training.optimizers import schedules


@dataclasses.dataclass(frozen=True, kw_only=True)
@ranges.checked
class Optimizer:
  """An optimizer; a subclass adds its parameters and its `rule`.

  Attributes:
    learning_rate: The peak of the schedule.
    schedule: The shape of the learning rate over the run.
    clip_norm: Largest global norm of the gradient, without frozen parameters;
      None turns clipping off.
    weight_decay: Weight decay of a parameter whose multiplier in `decay` is 1.
    decay: Pairs (pattern, multiplier) for weight decay; the first pattern that
      matches a path counts.
    freeze: Patterns of the paths of parameters that do not train.
    moments: Type of the optimizer's state; bfloat16 halves its memory, see
      `moments`.
  """
  learning_rate: ranges.Positive = 1e-3
  schedule: schedules.Schedule = schedules.Constant()
  clip_norm: ranges.Positive | None = 1.0
  weight_decay: ranges.NonNegative = 0.0
  decay: tuple[tuple[str, ranges.NonNegative], ...] = rules.DECAY
  freeze: tuple[str, ...] = ()
  moments: Literal['float32', 'bfloat16'] = 'float32'

  def __post_init__(self):
    name = type(self).__name__
    if not all(isinstance(r, tuple) and len(r) == 2 for r in self.decay):
      raise errors.InputError(
          f'{name}.decay should hold pairs (pattern, multiplier), such as '
          f'(("kernel$", 1.0), (".*", 0.0)); got {self.decay}.')
    if self.moments not in ('float32', 'bfloat16'):
      raise errors.InputError(
          f'{name}.moments should be float32 or bfloat16; got '
          f'{self.moments!r}.')

  def build(self, params: Any, steps: int) -> optax.GradientTransformation:
    """Returns the optax transformation.

    Args:
      params: The parameters or their shapes; only paths are read.
      steps: Length of the run, to which the schedule is scaled.

    Raises:
      InputError: If a pattern matches no parameter, or the schedule does not
        fit the run.
    """
    decay = rules.decay(params, self.weight_decay, self.decay)
    clip = (optax.identity() if self.clip_norm is None
            else optax.clip_by_global_norm(self.clip_norm))
    rate, rule = self.rate(steps), self.rule(decay)
    if self.moments == 'bfloat16':
      rule = moments.in_bfloat16(rule)
    optimizer = optax.chain(
        clip, rule, optax.scale_by_learning_rate(rate))
    return rules.train_only_unfrozen(optimizer, params, self.freeze)

  def rule(self, decay: optax.GradientTransformation
           ) -> optax.GradientTransformation:
    """Returns the transformation of gradients before the learning rate.

    Args:
      decay: The transformation that adds weight decay, for the rule to place.
    """
    raise NotImplementedError

  def rate(self, steps: int) -> optax.Schedule:
    """Returns the learning rate as a function of the step."""
    return self.schedule.build(self.learning_rate, steps)
