"""Writes the steps of a run, one at a time, behind the training steps.

A step is hashed and written by a thread of its own, so that training waits only
until the arrays are copied. Orbax writes it under another name and renames it
when it is whole. A failure (a full disk) costs that step and no other.

  20/                          a step
  30.orbax-checkpoint-tmp/     one being written, or what a kill left of it
  10.deleted/                  one being deleted
  damaged/25/                  moved aside, so that step 25 can be saved again

Orbax is imported where it is used: it doubles the time of `--help`.
"""
from collections.abc import Iterable
import functools
import logging
import os
import pathlib
import re
import shutil
import threading
from typing import Any

from lmjax.core import errors
from lmjax.training import checkpoints_reading as reading
from lmjax.training import digests
from lmjax.training import rundir

_logger = logging.getLogger(__name__)
_LEFTOVER = re.compile(r'\d+\.(orbax-checkpoint-tmp.*|deleted)')


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
      for path in self._directory.iterdir():
        if _LEFTOVER.fullmatch(path.name):
          shutil.rmtree(path)
    except OSError as error:
      raise errors.InputError(
          f'Checkpoints cannot be kept in {self._directory}: {error}.'
      ) from error

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
    # Not a daemon: a process that ends waits for it.
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
      raise FailedSaves(
          f'{self._failed} save{"s" * (self._failed > 1)} in a row failed: '
          f'{self._last_failure} Whole steps there: {there or "none"}.')

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
      for path in self._directory.glob(f'{step}.orbax-checkpoint-tmp*'):
        shutil.rmtree(path, ignore_errors=True)
    else:
      self._failed = 0
      try:
        self._retain()
      except OSError as error:
        _logger.warning('An old step could not be deleted: %s.', error)

  def _write(self, step, items, about):
    import orbax.checkpoint as ocp
    about = about | {
        'code': _code(),
        'arrays': {name: digests.describe(t) for name, t in items.items()}}
    # Weights hardly get smaller, and compressing takes longer than all else.
    handlers = {name: ocp.PyTreeCheckpointHandler(use_compression=False)
                for name in items}
    args = {name: ocp.args.PyTreeSave(tree) for name, tree in items.items()}
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler(
        about=ocp.JsonCheckpointHandler(), **handlers)) as writer:
      writer.save(self._directory / str(step), args=ocp.args.Composite(
          about=ocp.args.JsonSave(digests.signed(about)), **args))
    if step not in reading.steps(self._directory):
      raise OSError('Orbax wrote nothing, without an error')

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


def _leaves(tree):
  if not isinstance(tree, dict):
    return [tree]
  return [leaf for child in tree.values() for leaf in _leaves(child)]


@functools.cache
def _code() -> dict[str, Any]:
  """Returns what wrote a step: versions of packages and the git commit."""
  facts = rundir.describe()
  return {name: facts[name] for name in ('versions', 'git')}
