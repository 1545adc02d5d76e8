"""The log: fetches metrics from the device without a stall and writes rows."""
from collections.abc import Callable, Sequence
import dataclasses
import hashlib
import logging
from typing import Any

import jax
import numpy as np

from lmjax.core import digests
from lmjax.core import errors
from lmjax.core import metrics as metrics_lib
from lmjax.parallel import channel
from lmjax.parallel import strategy as strategy_lib
from lmjax.training import guard as guard_lib
from lmjax.training import stopping
from lmjax.training import throughput
from lmjax.training import writers as writers_lib

_logger = logging.getLogger(__name__)


class BadSteps(errors.RunError):
  """Too many consecutive steps were bad: see `guard.Guard`."""


@dataclasses.dataclass(frozen=True)
class _Step:
  """A step's number, the digest of its batch, and its metrics.

  `timed` is False for a step whose time is not known: the first one, whose time
  is mostly compilation, and those from before a resume.
  """
  number: int
  batch: str
  metrics: Any
  timed: bool = True

  @property
  def bad(self) -> bool:
    return bool(self.metrics['skipped'].total)

  def loss(self) -> float:
    return self.metrics['loss'].value

  def grad_norm(self) -> float:
    return self.metrics['grad_norm'].value


class Log:
  """Collects device metrics and writes a row for each interval of steps.

  A step's metrics are fetched two steps later, so that the device always has
  work while the host reads, checks, merges and writes them.
  """

  def __init__(
      self, strategy: strategy_lib.Strategy, meter: throughput.Meter,
      progress: stopping.Progress, writers: Sequence[writers_lib.Writer],
      learning_rate: Callable[[int], Any] | None = None,
      guard: guard_lib.Guard = guard_lib.Guard(),
      bad_step: Callable[[int, dict[str, Any]], None] = lambda *_: None,
      group: channel.Group = channel.Group(), unit: str = 'tokens',
  ):
    """Starts a log that continues from `progress`.

    Args:
      strategy: Fetches metrics from the devices.
      meter: Measures tokens per second.
      progress: Updated by the log, which continues its open interval.
      writers: Receive every row.
      learning_rate: The schedule; if given, `learning_rate` is logged.
      guard: Sets the number of consecutive bad steps that end the run.
      bad_step: Function called with a bad step's number and its facts.
      group: The processes that read the parts of each batch.
      unit: What the weight of the loss counts, such as 'tokens'.
    """
    self._unit = unit
    self._group = group
    self.rows = []
    self.meter = meter
    self._strategy, self._progress, self._writers = strategy, progress, writers
    self._learning_rate, self._guard = learning_rate, guard
    self._bad_step = bad_step
    self._flying = []  # Steps whose metrics are still on the device.
    self._landed = _steps(progress.interval)
    self._closed = False
    self._began = False

  def add(self, number: int, batch: str, metrics: Any) -> None:
    """Adds the metrics of a step that was just dispatched.

    Args:
      number: The number of the step, from 1.
      batch: The digest of its batch, or of the rows that this process reads.
      metrics: The metrics, on the device.

    Raises:
      BadSteps: If too many consecutive steps were bad, up to two steps ago.
    """
    self._group.post(f'batch {number}', batch)
    first, self._began = not self._began, True
    self._flying.append(_Step(number, batch, metrics, timed=not first))
    if first:
      jax.block_until_ready(metrics)
      self.meter.start()
    elif len(self._flying) > 2:
      self._land(1)

  def cut(self) -> None:
    """Ends the interval, which the next `flush` writes."""
    self._closed = True

  def flush(self) -> None:
    """Fetches and writes the interval that `cut` has ended, if any."""
    if not self._closed:
      return
    self._land(len(self._flying))
    steps, self._landed, self._closed = self._landed, [], False
    good = [step for step in steps if not step.bad]
    row = {name: mean.value for name, mean in metrics_lib.merge(
        step.metrics for step in good or steps).items()
           if name not in ('skipped', 'tokens')}
    self._progress.tokens += _tokens(good)
    row[self._unit] = self._progress.tokens
    row['batch'] = digest([step.batch for step in steps])
    if len(good) < len(steps):
      row['skipped'] = len(steps) - len(good)
    if self._learning_rate:  # Of the last update; bad steps do not count.
      updates = steps[-1].number - self._progress.skipped
      row['learning_rate'] = float(self._learning_rate(max(updates - 1, 0)))
    timed = [step for step in steps if step.timed]
    if timed:
      row |= self.meter.read(
          _tokens(step for step in timed if not step.bad), len(timed))
    self.write(steps[-1].number, row)

  def rest(self) -> None:
    """Waits for all steps, writes an ended interval, and stops the clock."""
    self._land(len(self._flying))
    self.flush()
    self.meter.stop()

  def store(self) -> None:
    """Stores the open interval in `progress`, before that is saved."""
    self._progress.interval = [
        [step.number, step.batch,
         {name: [float(mean.total), float(mean.weight)]
          for name, mean in step.metrics.items()}] for step in self._landed]

  def write(self, step: int, row: dict[str, Any]) -> None:
    """Passes a row to all writers."""
    self.rows.append({'step': step} | row)
    self._progress.rows += 1
    for writer in self._writers:
      writer.write(step, row)

  def _land(self, count):
    """Fetches the `count` oldest steps and checks them one by one."""
    landing, self._flying = self._flying[:count], self._flying[count:]
    found = self._strategy.fetch([step.metrics for step in landing])
    for step, metrics in zip(landing, found):
      batch = digests.joined(self._group.collect(f'batch {step.number}'))
      step = dataclasses.replace(step, batch=batch, metrics=metrics)
      self._landed.append(step)
      self._judge(step)

  def _judge(self, step):
    progress = self._progress
    if not step.bad:
      progress.bad_in_a_row = 0
      return
    progress.skipped += 1
    progress.bad_in_a_row += 1
    reason = guard_lib.reason(step.loss(), step.grad_norm())
    _logger.warning(
        'Step %d changed nothing: %s (batch %s).', step.number, reason,
        step.batch)
    self._bad_step(step.number, {
        'reason': reason, 'loss': step.loss(), 'grad_norm': step.grad_norm(),
        'batch': step.batch})
    if progress.bad_in_a_row >= self._guard.max_bad_steps:
      raise BadSteps(
          f'Step {step.number} is bad step {progress.bad_in_a_row} in a row: '
          f'{reason}. Parameters and optimizer state are as before the '
          'first of them. Look at the batches in events.jsonl (--replay_step='
          f'{step.number} prints one), go back with experiments/rollback.py '
          '--skip_batches, lower learning_rate or clip_norm, or raise '
          'training.guard.max_bad_steps; JAX_DEBUG_NANS=1 finds the operation.')


def _tokens(steps) -> float:
  return sum(float(step.metrics['tokens'].total) for step in steps)


def digest(batches: Sequence[str]) -> str:
  """Returns the digest of a row, from the digests of its steps' batches."""
  return batches[0] if len(batches) == 1 else hashlib.sha256(
      ''.join(batches).encode()).hexdigest()[:8]


def _steps(interval) -> list[_Step]:
  """Returns the steps of `Progress.interval`, in their original precision."""
  return [_Step(number, batch, {
      name: metrics_lib.Mean(np.float32(total), np.float32(weight))
      for name, (total, weight) in metrics.items()}, timed=False)
          for number, batch, metrics in interval]
