"""Learning-rate schedules, as frozen dataclasses that build optax schedules.

Each is a shape between 0 and 1. `build` scales it to the peak learning rate and
the length of the run: `Cosine(warmup=100).build(3e-4, 1000)`.
"""
import dataclasses

import jax.numpy as jnp
import optax

from lmjax.core import errors
from lmjax.core import ranges

_SHORT = 200  # A run of fewer steps shortens warm-up that does not fit it.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Constant:
  """The peak rate after `warmup` steps of linear warm-up.

  Attributes:
    warmup: Steps in which the rate rises from 0 to its peak.
  """
  warmup: ranges.Natural = 0

  def build(self, learning_rate: float, steps: int) -> optax.Schedule:
    """Returns a function from the step to the learning rate."""
    rise = warmup(self, steps)
    return _warmed(
        optax.constant_schedule(learning_rate), learning_rate, rise)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Cosine:
  """Half a cosine from the peak down to `final` times the peak.

  Attributes:
    warmup: Steps in which the rate rises from 0 to its peak.
    final: The last rate, as a fraction of the peak.

  References:
    Loshchilov and Hutter, SGDR, arXiv:1608.03983, eq. 5.
  """
  warmup: ranges.Natural = 0
  final: ranges.Share = 0.1

  def build(self, learning_rate: float, steps: int) -> optax.Schedule:
    """Returns a function from the step to the learning rate."""
    rise = warmup(self, steps)
    fall = optax.cosine_decay_schedule(
        learning_rate, max(steps - rise, 1), alpha=self.final)
    return _warmed(fall, learning_rate, rise)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Linear:
  """A straight line from the peak down to `final` times the peak.

  Attributes:
    warmup: Steps in which the rate rises from 0 to its peak.
    final: The last rate, as a fraction of the peak.
  """
  warmup: ranges.Natural = 0
  final: ranges.Share = 0.0

  def build(self, learning_rate: float, steps: int) -> optax.Schedule:
    """Returns a function from the step to the learning rate."""
    rise = warmup(self, steps)
    fall = optax.linear_schedule(
        learning_rate, learning_rate * self.final, max(steps - rise, 1))
    return _warmed(fall, learning_rate, rise)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class InverseSquareRoot:
  """Falls as sqrt(warmup / step) after warm-up, for a run of any length.

  Attributes:
    warmup: Steps in which the rate rises from 0 to its peak.

  References:
    Vaswani et al., Attention Is All You Need, arXiv:1706.03762, eq. 3, scaled
    so that the peak is the learning rate.
  """
  warmup: ranges.Natural = 100

  def build(self, learning_rate: float, steps: int) -> optax.Schedule:
    """Returns a function from the step to the learning rate."""
    rise = warmup(self, steps)
    since = max(rise, 1)

    def fall(count):  # Steps since the end of warm-up.
      return learning_rate * (since / (since + jnp.maximum(count, 0))) ** 0.5

    return _warmed(fall, learning_rate, rise)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class WarmupStableDecay:
  """Warm-up, a plateau, then a linear fall over the last `decay` of the run.

  Attributes:
    warmup: Steps in which the rate rises from 0 to its peak.
    decay: Length of the final fall, as a fraction of the run.
    final: The last rate, as a fraction of the peak.

  References:
    Hu et al., MiniCPM, arXiv:2404.06395, section 4.
  """
  warmup: ranges.Natural = 0
  decay: ranges.PositiveShare = 0.2
  final: ranges.Share = 0.0

  def build(self, learning_rate: float, steps: int) -> optax.Schedule:
    """Returns a function from the step to the learning rate."""
    rise = warmup(self, steps)
    falling = max(round(self.decay * steps), 1)
    plateau = steps - falling - rise
    if plateau < 0:
      raise errors.InputError(
          f'warmup ({rise}) and the final fall ({falling} steps = '
          f'{self.decay} of {steps}) overlap; make one of them shorter.')
    fall = optax.join_schedules([
        optax.constant_schedule(learning_rate),
        optax.linear_schedule(
            learning_rate, learning_rate * self.final, falling)], [plateau])
    return _warmed(fall, learning_rate, rise)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class StepDecay:
  """A constant rate in each of several equal periods, such as epochs.

  The first `hold` periods have the peak rate. At the start of each further
  period the rate is multiplied by `factor`.

  Attributes:
    warmup: Steps in which the rate rises from 0 to its peak.
    periods: Number of periods in the run.
    hold: Number of periods at the peak rate.
    factor: Factor by which each further period multiplies the rate.

  References:
    Zaremba et al., Recurrent Neural Network Regularization, arXiv:1409.2329,
    section 4.1.
  """
  warmup: ranges.Natural = 0
  periods: ranges.Count = 13
  hold: ranges.Natural = 4
  factor: ranges.PositiveShare = 0.5

  def build(self, learning_rate: float, steps: int) -> optax.Schedule:
    """Returns a function from the step to the learning rate."""
    rise = warmup(self, steps)

    def fall(count):  # Steps since the end of warm-up.
      period = (count + rise) * self.periods // steps
      falls = jnp.maximum(period - self.hold + 1, 0)
      return learning_rate * self.factor**falls

    return _warmed(fall, learning_rate, rise)


Schedule = (Constant | Cosine | Linear | InverseSquareRoot | WarmupStableDecay
            | StepDecay)


def _warmed(after, learning_rate, steps):
  """Returns `after`, preceded by a linear rise over `steps` steps.

  The rise goes from 1/steps to 1, because a rate of 0 at step 0 would waste
  the first batch.
  """
  if not steps:
    return after
  rise = optax.linear_schedule(
      learning_rate / steps, learning_rate, max(steps - 1, 1))
  return optax.join_schedules([rise, after], [steps])


def warmup(schedule: Schedule, steps: int) -> int:
  """Returns the steps of warm-up in a run of `steps` steps.

  They are `schedule.warmup`, which may not be more than the run. In a run of
  under 200 steps, such as the first try of a config, warm-up that is longer
  than the run becomes a tenth of it.

  Raises:
    InputError: If the schedule does not fit the run.

  Example:
    >>> warmup(Cosine(warmup=100), 1000), warmup(Cosine(warmup=100), 50)
    (100, 5)
  """
  name = type(schedule).__name__
  if steps < 1:
    raise errors.InputError(f'A schedule needs steps >= 1; got {steps}.')
  if schedule.warmup <= steps:
    return schedule.warmup
  if steps < _SHORT:
    return steps // 10
  raise errors.InputError(
      f'{name}.warmup is {schedule.warmup}, but the run has {steps} steps; '
      'set --config.optimizer.schedule.warmup to a number of steps between 0 '
      f'and that, such as {steps // 10}.')


def shortened(schedule: Schedule, steps: int) -> str | None:
  """Returns a sentence if warm-up is shortened for a short run, or None."""
  found = warmup(schedule, steps)
  if found == schedule.warmup:
    return None
  return (f'Warm-up of {schedule.warmup:,} steps is longer than the run, so it '
          f'takes {found:,} of {steps:,} steps; '
          '--config.optimizer.schedule.warmup sets it.')
