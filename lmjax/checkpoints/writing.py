"""Writes the steps of a run, one at a time, behind the training steps.

A step is hashed and written by a thread of its own, so that training waits only
until the arrays are copied. It is written under another name and renamed when
it is whole. A failure (a full disk) costs that step and no other.

  20/            a step
  30.saving.*/   one being written, or what a kill or a failure left of it
  10.deleted/    one being deleted
  damaged/25/    moved aside, so that step 25 can be saved again

Orbax is imported where it is used: it doubles the time of `--help`.
"""
from collections.abc import Iterable
import concurrent.futures.thread  # Registers its exit hook, see below.
import functools
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
from lmjax.core import provenance

_logger = logging.getLogger(__name__)
_LEFTOVER = re.compile(r'\d+\.(saving\..*|deleted)')


class FailedSaves(errors.RunError):
  """Checkpoints could not be written, and the run should not go on like that.
  """


class Writer:
  """Writes steps into a directory and deletes those not to be kept."""

  def __init__(
      self, directory: pathlib.Path, keep_last: int, keep_best: int,
      max_failed_saves: int,
  ):
    self._directory = directory
    self._keep_last, self._keep_best = max(keep_last, 1), keep_best
    self._max_failed = max_failed_saves
    self._failed = 0  # In a row.
    self._last_failure = ''
    self._thread = None
    self._names = itertools.count()
    _join_before_exit(self)

  @property
  def most_steps(self) -> int:
    """Steps on disk at most: the one being written included."""
    return self._keep_last + self._keep_best + 1

  def open(self) -> None:
    """Creates the directory and removes what a killed run left unfinished.

    Raises:
      InputError: If it cannot be written to.
    """
    try:
      self._directory.mkdir(parents=True, exist_ok=True)
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
    """Moves steps to damaged/, where they are in nobody's way."""
    for step in steps:
      aside = self._directory / 'damaged'
      aside.mkdir(exist_ok=True)
      again = sum(p.name.partition('-')[0] == str(step)
                  for p in aside.iterdir())
      target = aside / (f'{step}-{again}' if again else str(step))
      os.rename(self._directory / str(step), target)
      _logger.warning('Moved the damaged step %d to %s.', step, target)

  def start(self, items: dict[str, Any], about: dict[str, Any]) -> None:
    """Starts writing a step; `join` first.

    Args:
      items: Host arrays that nobody changes any more.
      about: JSON facts, 'step' among them.

    Raises:
      FailedSaves: If too many have failed in a row.
    """
    if self._failed >= self._max_failed:
      self.check()
    self._thread = threading.Thread(
        target=self._run, args=(items, about), name='checkpoint')
    self._thread.start()

  def join(self) -> None:
    """Returns when nothing is being written."""
    if self._thread is not None:
      self._thread.join()
      self._thread = None

  def check(self) -> None:
    """Raises FailedSaves if the last save failed."""
    if self._failed:
      there = reading.steps(self._directory)
      count = f'{self._failed} saves' if self._failed > 1 else 'save'
      raise FailedSaves(
          f'The last {count} failed: {self._last_failure} Whole steps there: '
          f'{there or "none"}.')

  def _run(self, items, about):
    step = about['step']
    try:
      self._write(step, items, about)
    except Exception as error:  # Whatever it is, it waits for `check`.
      self._failed += 1
      self._last_failure = self._describe(step, items, error)
      _logger.error(
          '%s Training goes on; failed saves in a row: %d of at most %d.',
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
    # Weights hardly get smaller, and compressing takes longer than all else.
    one = alone.options()
    handlers = {name: ocp.PyTreeCheckpointHandler(
        use_compression=False, **one) for name in items}
    args = {name: ocp.args.PyTreeSave(tree) for name, tree in items.items()}
    # A name for each attempt: threads of a failed one may still be writing.
    path = self._directory / f'{step}.saving.{next(self._names)}'
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler(
        composite_options=ocp.CompositeOptions(**one),
        about=ocp.JsonCheckpointHandler(**one), **handlers), **one) as writer:
      writer.save(path, args=ocp.args.Composite(
          about=ocp.args.JsonSave(digests.signed(about)), **args))
    os.rename(path, self._directory / str(step))  # Fails if none was written.

  def _retain(self):
    """Deletes steps; each vanishes at once, though its files take a while."""
    there = reading.steps(self._directory)
    best = [step for _, step in reading.by_score(self._directory)]
    keep = {*there[-self._keep_last:], *best[:self._keep_best]}
    for step in there:
      if step not in keep:
        away = self._directory / f'{step}.deleted'
        os.rename(self._directory / str(step), away)
        shutil.rmtree(away)

  def _sweep(self):
    """Removes what is unfinished; where something resists, next time."""
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
      room = f'the free ones cannot be counted ({unknown})'
    reason = (str(error).splitlines() or [''])[0]
    if len(reason) > 200:  # TensorStore puts paths first, and the cause last.
      reason = f'{reason[:40]} ... {reason[-120:]}'
    return (f'Step {step} could not be saved in {self._directory} '
            f'({type(error).__name__}: {reason}); it takes {needed:,} bytes, '
            f'{room}.')


def _join_before_exit(writer):
  """Lets a process that ends without `close` finish its last save.

  `atexit` is too late: by then no thread of Orbax may start another one. Hooks
  run in reverse, so the one of `concurrent.futures`, after which it starts no
  thread either, has to be there before ours: this module imports it.
  """
  reference = weakref.ref(writer)

  def join():
    if (writer := reference()) is not None:
      writer.join()

  threading._register_atexit(join)  # pylint: disable=protected-access


def _is_news(record):
  """Drops the traces of Orbax's threads: their errors also reach `_run`."""
  return '_SignalingThread.run() raised' not in record.getMessage()


def _leaves(tree):
  if not isinstance(tree, dict):
    return [tree]
  return [leaf for child in tree.values() for leaf in _leaves(child)]


@functools.cache
def _code() -> dict[str, Any]:
  """Returns what wrote a step: versions of packages and the git commit."""
  facts = provenance.describe()
  return {name: facts[name] for name in ('versions', 'git')}
