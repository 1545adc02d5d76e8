"""Metrics on their way from the device to the writers, without a stall."""
from collections.abc import Callable, Sequence
import math
from typing import Any

import jax

from lmjax.core import metrics as metrics_lib
from lmjax.training import parallel
from lmjax.training import stopping
from lmjax.training import throughput
from lmjax.training import writers as writers_lib


class NonFiniteLoss(FloatingPointError):
  """The loss is NaN or infinite: the run cannot go on from here."""


class Log:
  """Collects device metrics and writes a row for each interval of steps.

  An interval is fetched only after the first step of the next one has been
  dispatched, so the device always has work while the host reads, merges and
  writes. At most two steps are in flight.
  """

  def __init__(
      self, strategy: parallel.Strategy, meter: throughput.Meter,
      progress: stopping.Progress, writers: Sequence[writers_lib.Writer],
      learning_rate: Callable[[int], Any] | None = None,
  ):
    self.rows = []
    self.meter = meter
    self._strategy, self._progress, self._writers = strategy, progress, writers
    self._open, self._closed = [], []
    self._learning_rate = learning_rate
    self._first = None

  def add(self, step: int, metrics: Any) -> None:
    """Takes the metrics of a step that was just dispatched."""
    self._open.append((step, metrics))
    if self._first is None:  # Its time is compilation; it sets no rate.
      jax.block_until_ready(metrics)
      self._first = step
      self.meter.start()
    elif len(self._open) > 2:
      jax.block_until_ready(self._open[-3])

  def cut(self) -> None:
    """Ends the interval; the next `flush` writes it."""
    self._closed, self._open = self._open, []

  def flush(self) -> None:
    """Fetches and writes the interval that was cut, if any.

    Raises:
      NonFiniteLoss: Naming the step whose loss is not finite.
    """
    if not self._closed:
      return
    steps, rows = zip(*self._closed)
    rows = self._strategy.fetch(list(rows))
    self._closed = []
    timed = sum(float(row['tokens'].total)
                for step, row in zip(steps, rows) if step != self._first)
    self._progress.tokens += sum(float(row['tokens'].total) for row in rows)
    row = {name: mean.value
           for name, mean in metrics_lib.merge(rows).items()}
    row['tokens'] = self._progress.tokens
    if self._learning_rate:
      row['learning_rate'] = float(self._learning_rate(steps[-1] - 1))
    if timed:
      row |= self.meter.read(timed)
    self.write(steps[-1], row)
    for step, metrics in zip(steps, rows):
      _check_finite(step, metrics)

  def write(self, step: int, row: dict[str, float]) -> None:
    """Hands a row to all writers."""
    self.rows.append({'step': step} | row)
    for writer in self._writers:
      writer.write(step, row)


def _check_finite(step, metrics):
  weight = float(metrics['loss'].weight)
  loss, norm = float(metrics['loss'].total), float(metrics['grad_norm'].total)
  if math.isfinite(loss) and math.isfinite(norm):
    return
  value = loss / weight if weight else loss
  raise NonFiniteLoss(
      f'At step {step} the loss is {value:g} and its gradient norm {norm:g}; '
      f'the parameters are lost from here on. Start again from the last '
      f'checkpoint with a lower learning_rate, a longer warmup or a smaller '
      f'clip_norm; JAX_DEBUG_NANS=1 shows the operation.')
