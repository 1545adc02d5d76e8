"""Writing of a run's steps, one at a time, while training continues.

A separate thread hashes and writes a step, so that training waits only until
the arrays are copied. The step is written to another folder, read back, and
moved when it is on the disk; only then are older steps deleted. A failure, as
on a full disk, affects only the step being saved.

  20/             a step
  30.saving.*/30  a step being written, or the remains of a failed save
  10.deleted/     a step being deleted
  damaged/25/     a step moved aside, so that step 25 can be saved again

Orbax is imported only where it is used, as it doubles the time of `--help`.
"""
from collections.abc import Iterable, Sequence
import functools
import importlib
import itertools
import logging
import os
import pathlib
import re
import shutil
import threading
from typing import Any
import weakref

from lmjax.checkpoints import alone
from lmjax.checkpoints import reading
from lmjax.checkpoints import stragglers
from lmjax.core import digests
from lmjax.core import errors
from lmjax.core.files import durable
from lmjax.core.files import plain
from lmjax.core import provenance

_logger = logging.getLogger(__name__)
_LEFTOVER = re.compile(r'\d+\.(saving\..*|deleted)')


class FailedSaves(errors.RunError):
  """Too many consecutive saves failed, or the last one of a run."""


class Writer:
  """Writes steps into a directory and deletes steps that are not kept."""

  def __init__(
      self, directory: pathlib.Path, keep_last: int, keep_best: int,
      max_failed_saves: int, logs: Sequence[pathlib.Path] = (),
  ):
    self._directory, self._logs = directory, logs
    self._keep_last, self._keep_best = max(keep_last, 1), keep_best
    self._max_failed = max_failed_saves
    self._failed = 0  # In a row.
    self._last_failure = ''
    self._thread = None
    self._names = itertools.count()
    _join_before_exit(self)

  @property
  def most_steps(self) -> int:
    """The largest number of steps on disk, including one being written."""
    return self._keep_last + self._keep_best + 1

  def open(self) -> None:
    """Creates the directory and removes incomplete steps of a killed run.

    Raises:
      InputError: If the directory cannot be written to.
    """
    try:
      durable.make_folder(self._directory)
      self._sweep()
    except OSError as error:
      raise errors.InputError(
          f'Checkpoints cannot be kept in {self._directory}: {error}.'
      ) from error
    if not os.access(self._directory, os.W_OK | os.X_OK):
      raise errors.InputError(
          f'Checkpoints cannot be kept in {self._directory}: no permission to '
          'write there.')

  def set_aside(self, steps: Iterable[int]) -> None:
    """Moves steps to damaged/, so that their numbers can be saved again."""
    for step in steps:
      aside = self._directory / 'damaged'
      durable.make_folder(aside)
      again = sum(p.name.partition('-')[0] == str(step)
                  for p in aside.iterdir())
      target = aside / (f'{step}-{again}' if again else str(step))
      durable.rename(self._directory / str(step), target)
      _logger.warning('Moved the damaged step %d to %s.', step, target)

  def start(self, items: dict[str, Any], about: dict[str, Any]) -> None:
    """Starts writing a step; call `join` before.

    Args:
      items: Host arrays, which must not change any more.
      about: JSON facts, including 'step'.

    Raises:
      FailedSaves: If too many consecutive saves have failed.
    """
    if self._failed >= self._max_failed:
      self.check()
    self._thread = threading.Thread(
        target=self._run, args=(items, about), name='checkpoint')
    self._thread.start()

  def join(self) -> None:
    """Waits until no step is being written."""
    if self._thread is not None:
      self._thread.join()
      self._thread = None

  def check(self) -> None:
    """Raises FailedSaves if the last save failed."""
    if self._failed:
      there = reading.steps(self._directory)
      count = f'{self._failed} saves' if self._failed > 1 else 'save'
      raise FailedSaves(
          f'The last {count} failed: {self._last_failure} Complete steps: '
          f'{there or "none"}.')

  def _run(self, items, about):
    step = about['step']
    try:
      self._write(step, items, about)
    except Exception as error:  # Any exception is reported by `check`.
      self._failed += 1
      self._last_failure = self._describe(step, items, error)
      _logger.error(
          '%s Training continues; failed saves in a row: %d of at most %d.',
          self._last_failure, self._failed, self._max_failed)
      self._sweep()
    else:
      self._failed = 0
      try:
        self._retain()
      except OSError as error:
        _logger.warning('An old step could not be deleted: %s.', error)

  def _write(self, step, items, about):
    import orbax.checkpoint as ocp
    stragglers.silence()
    logging.getLogger('absl').addFilter(_is_news)
    about = about | {
        'code': _code(),
        'arrays': {name: digests.describe(t) for name, t in items.items()}}
    # Compression hardly makes weights smaller and takes most of the time.
    one = alone.options()
    handlers = {name: ocp.PyTreeCheckpointHandler(
        use_compression=False, **one) for name in items}
    args = {name: ocp.args.PyTreeSave(tree) for name, tree in items.items()}
    # Each attempt has its own name: threads of a failed one may still write.
    place = self._directory / f'{step}.saving.{next(self._names)}'
    place.mkdir()
    with plain.path(place) as path, ocp.Checkpointer(
        ocp.CompositeCheckpointHandler(
            composite_options=ocp.CompositeOptions(**one),
            about=ocp.JsonCheckpointHandler(**one), **handlers),
        **one) as writer:
      writer.save(path / str(step), args=ocp.args.Composite(
          about=ocp.args.JsonSave(digests.signed(about)), **args))
    reading.verify(place, step)  # Not all that Orbax skips is an error.
    self._keep(place, step)

  def _keep(self, place, step):
    """Gives a step its name, once it is on the disk."""
    durable.sync_tree(place)
    for log in self._logs:
      if log.exists():
        durable.sync(log)
    durable.rename(place / str(step), self._directory / str(step))
    place.rmdir()

  def _retain(self):
    """Deletes the steps that are not kept."""
    there = reading.steps(self._directory)
    best = [step for _, step in reading.by_score(self._directory)]
    keep = {*there[-self._keep_last:], *best[:self._keep_best]}
    for step in there:
      if step not in keep:
        durable.remove_tree(self._directory / str(step),
                            self._directory / f'{step}.deleted')

  def _sweep(self):
    """Removes incomplete steps; if a file cannot be removed, it is left."""
    for path in self._directory.glob('*'):
      if _LEFTOVER.fullmatch(path.name):
        # Threads of a failed save may still be writing there.
        shutil.rmtree(path, ignore_errors=True)

  def _describe(self, step, items, error):
    needed = sum(leaf.nbytes for tree in items.values()
                 for leaf in _leaves(tree))
    try:
      room = f'{shutil.disk_usage(self._directory).free:,} are free'
    except OSError as unknown:
      room = f'the number of free bytes is unknown ({unknown})'
    reason = (str(error).splitlines() or [''])[0]
    if len(reason) > 200:  # TensorStore puts paths first and the cause last.
      reason = f'{reason[:40]} ... {reason[-120:]}'
    return (f'Step {step} could not be saved in {self._directory} '
            f'({type(error).__name__}: {reason}); it takes {needed:,} bytes, '
            f'{room}.')


def _join_before_exit(writer):
  """Finishes the last save of a process that ends without `close`.

  `atexit` is too late, because by then Orbax's threads cannot start other
  threads. The hooks of `threading` run in reverse order. The hook of
  `concurrent.futures` also prevents new threads, so it has to be registered
  before ours; the import does so.
  """
  importlib.import_module('concurrent.futures.thread')
  reference = weakref.ref(writer)

  def join():
    if (writer := reference()) is not None:
      writer.join()

  threading._register_atexit(join)  # pylint: disable=protected-access


def _is_news(record):
  """Returns False for tracebacks of Orbax's threads, which `_run` reports."""
  return '_SignalingThread.run() raised' not in record.getMessage()


def _leaves(tree):
  if not isinstance(tree, dict):
    return [tree]
  return [leaf for child in tree.values() for leaf in _leaves(child)]


@functools.cache
def _code() -> dict[str, Any]:
  """Returns the versions of packages and the git commit, for a step."""
  facts = provenance.describe()
  return {name: facts[name] for name in ('versions', 'git')}
