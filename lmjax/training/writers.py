"""Writers of a run's rows: a JSON lines file and the terminal."""
import collections
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import itertools
import json
import logging
import math
import os
import sys
import time
from typing import Any, Protocol

import rich.console
import rich.progress
import rich.text

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import durable
from lmjax.core.files import strict_json

_logger = logging.getLogger(__name__)
_NOT_FINITE = ('nan', 'inf', '-inf')


class Writer(Protocol):
  """Writes rows of numbers; `loop.fit` calls `write`, and the owner `close`."""

  def write(self, step: int, row: Mapping[str, float]) -> None:
    """Writes the row of a step."""

  def close(self) -> None:
    """Writes any buffered rows and closes the writer."""


class JsonLines:
  """Writes one JSON object per line, for curves and reports to read.

  When a run is resumed, rows after the step from which it continues are
  dropped, since they will be written again. If a user replaces or deletes the
  file meanwhile, as editors do, writing continues in the new file.
  """

  def __init__(self, path: str | os.PathLike[str], start: int = 0,
               expected: int = 0, check: Callable[[], None] = lambda: None):
    """Opens `path`, keeping the rows of steps up to `start`.

    Args:
      path: The file.
      start: The step from which the run continues.
      expected: Number of rows that the run has written up to that step; if the
        file has fewer, a warning names the steps.
      check: Function that raises an exception if the file has been replaced
        because another process continues the run.
    """
    self._path, self._check = path, check
    kept = [row for row in read(path) if row['step'] <= start]
    if len(kept) < expected:
      _logger.warning(
          '%s has %d of the %d rows that the run wrote up to step %d%s. It was '
          'changed or lost; the run continues with the rows that are there.',
          path, len(kept), expected, start, gaps(
              [row['step'] for row in kept], start))
    with atomic.opened(path) as file:
      file.writelines(_line(row) for row in kept)
    self._file = open(path, 'a', encoding='utf-8')

  def write(self, step: int, row: Mapping[str, float]) -> None:
    """Writes a row to the file.

    Raises:
      RunError: If the file cannot be written, as when the disk is full.
    """
    try:
      if not self._is_there():
        self._reopen()
      self._file.write(_line({'step': step, **row}))
      self._file.flush()
    except OSError as error:
      raise errors.RunError(
          f'Step {step} cannot be written to {self._file.name} '
          f'({error.strerror}). Make room; the same command then continues '
          'from the last checkpoint.') from error

  def _is_there(self) -> bool:
    """Returns whether the open file is still the one under its name."""
    try:
      return os.path.samestat(
          os.fstat(self._file.fileno()), os.stat(self._path))
    except FileNotFoundError:
      return False

  def _reopen(self) -> None:
    """Continues in the file that has taken the place of the open one."""
    self._check()
    _logger.warning(
        '%s was replaced or deleted while the run wrote to it; the next rows '
        'are written to the new file.', self._path)
    self._file.close()
    self._file = open(self._path, 'a', encoding='utf-8')
    with open(self._path, 'rb') as found:
      if found.read()[-1:] not in (b'', b'\n'):  # Not every editor ends it.
        self._file.write('\n')

  def close(self) -> None:
    with contextlib.suppress(OSError):  # `write` has already raised it.
      self._file.close()
      durable.sync(self._file.name)


def read(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
  """Returns the rows of a JSON lines file, or [] if it does not exist.

  An incomplete last line, left by a process that was killed, is ignored.
  """
  if not os.path.exists(path):
    return []
  rows = []
  with open(path, encoding='utf-8', errors='replace') as file:
    for number, line in enumerate(file, 1):
      if not line.endswith('\n'):
        break
      try:
        row = strict_json.loads(line)
        if type(row['step']) is not int:
          raise ValueError('its step is not a whole number')
        rows.append({key: float(value) if value in _NOT_FINITE else value
                     for key, value in row.items()})
      except (ValueError, TypeError, LookupError) as error:
        raise errors.InputError(
            f'{path}:{number} is not a JSON object ({error}); repair or delete '
            f'that line.') from error
  return rows


def gaps(steps: Sequence[int], last: int) -> str:
  """Returns where rows are missing, as a text such as ': none of 11 to 39'.

  Args:
    steps: The steps of the rows that are there, ascending.
    last: The step up to which there should be rows.

  Returns:
    The ranges that are wider than most distances between rows; '' if the rows
    are too irregular to tell.

  Example:
    >>> gaps([10, 20, 30, 80, 90, 100], 100)
    ': none of steps 31 to 79'
    >>> gaps([], 100)
    ': none of steps 1 to 100'
  """
  marks = [0, *dict.fromkeys(steps), last + 1]
  if len(marks) == 2:
    return f': none of steps 1 to {last}'
  usual, count = collections.Counter(
      b - a for a, b in itertools.pairwise(marks)).most_common(1)[0]
  wide = [f'{a + 1} to {b - 1}' for a, b in itertools.pairwise(marks)
          if b - a > usual]
  if count < len(marks) / 2 or not wide:
    return ''
  return ': none of steps ' + ', '.join(wide[:3] + ['...'] * (len(wide) > 3))


def _line(row) -> str:  # JSON has no NaN: written as text, which `read` parses.
  def plain(value):
    if isinstance(value, float) and not math.isfinite(value):
      return str(value)
    return value
  return json.dumps({k: plain(v) for k, v in row.items()}) + '\n'


class _Bar(rich.progress.Progress):
  """A progress bar with a line of text below it, which fits 80 columns."""

  def get_renderables(self):
    yield self.make_tasks_table(self.tasks)
    for task in self.tasks:
      yield rich.text.Text(
          task.fields['text'], no_wrap=True, overflow='ellipsis')


class Terminal:
  """A progress bar on a terminal, or a line every few seconds elsewhere."""

  def __init__(self, steps: int, start: int = 0, file=None, every_s: float = 5):
    """Starts the display of a run of `steps` steps, resumed at `start`."""
    self._steps, self._every_s, self._said = steps, every_s, -math.inf
    self._shown, self._waits, self._last = {}, False, None
    self._console = rich.console.Console(file=file or sys.stderr)
    self._bar = None
    if self._console.is_terminal:
      columns = rich.progress
      self._bar = _Bar(
          columns.TextColumn('step {task.completed:,.0f}/{task.total:,.0f}'),
          columns.BarColumn(bar_width=None), columns.TaskProgressColumn(),
          columns.TimeElapsedColumn(), columns.TextColumn('ETA'),
          columns.TimeRemainingColumn(), console=self._console)
      self._task = self._bar.add_task('', total=steps, completed=start, text='')
      self._bar.start()

  def write(self, step: int, row: Mapping[str, float]) -> None:
    self._shown |= row
    text = summary(self._shown)
    if self._bar:
      self._bar.update(self._task, completed=step, text=text)
      return
    now = time.monotonic()
    if step == self._steps:  # An evaluation may follow, with a row of its own.
      self._waits = True
    elif now - self._said >= self._every_s:
      again = self._last == step  # An evaluation after a row of the same step.
      self._said, self._last = now, step
      self._print(step, summary(row) if again else text)

  def close(self) -> None:
    if self._bar:
      self._bar.stop()
    elif self._waits:
      self._print(self._steps, summary(self._shown))

  def _print(self, step, text):
    print(f'step {step:,}/{self._steps:,}  {text}', file=self._console.file,
          flush=True)


@contextlib.contextmanager
def opened(metrics_path: str | os.PathLike[str], steps: int, start: int = 0,
           rows: int = 0, check: Callable[[], None] = lambda: None,
           ) -> Iterator[tuple[Writer, ...]]:
  """Opens both writers of a run of `steps` steps.

  Args:
    metrics_path: The file for `JsonLines`.
    steps: Number of steps of the run.
    start: The step from which it continues.
    rows: Number of rows written up to that step.
    check: See `JsonLines`.
  """
  with contextlib.ExitStack() as stack:
    yield tuple(
        stack.enter_context(contextlib.closing(writer)) for writer in (
            JsonLines(metrics_path, start, rows, check),
            Terminal(steps, start)))


def summary(row: Mapping[str, float]) -> str:
  """Returns the most important numbers of a row, as one line of text."""
  parts = [f'{name.replace("/", " ")} {row[name]:.4f}'
           for name in ('loss', 'valid/loss') if name in row]
  parts += [f'{_rounded(value)} {name.removesuffix("_per_s")}/s'
            for name, value in row.items() if name.endswith('_per_s')]
  if 'mfu' in row:
    parts.append(f'{row["mfu"]:.0%} of peak')
  return '  '.join(parts)


def _rounded(rate: float) -> str:
  return f'{rate:,.0f}' if rate >= 10 else f'{rate:.2g}'
