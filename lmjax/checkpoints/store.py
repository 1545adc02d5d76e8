"""Checkpoints: what a run needs to go on exactly where it was, or not at all.

A step is one Orbax composite, there as a whole or not: the state's arrays (see
`items`), and `about`, a JSON text with the SHA-256 of every array,
the run's progress, config and data pipeline, the versions of the code, and the
SHA-256 of that text itself. Restoring checks every digest, and goes back a step
where one is wrong.
"""
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import json
import logging
import math
import os
import pathlib
import shutil
import sys
from typing import Any, Literal

import jax

from lmjax.checkpoints import items as items_lib
from lmjax.checkpoints import reading
from lmjax.checkpoints import writing
from lmjax.core import changes
from lmjax.core import config as config_lib
from lmjax.core import digests
from lmjax.core import errors
from lmjax.core import secrets
from lmjax.training import step as step_lib
from lmjax.training import stopping

_logger = logging.getLogger(__name__)
FailedSaves = writing.FailedSaves


@dataclasses.dataclass(frozen=True)
class Restored:
  """A checkpoint read back.

  Attributes:
    step: The step it was saved at.
    state: The training state.
    progress: What the run knew besides.
    facts: Those that `Checkpoints` was opened with.
    code: Versions and git state of what wrote it, see `provenance.describe`.
    skipped: Steps tried before it that were damaged: (step, reason).
  """
  step: int
  state: step_lib.TrainState
  progress: stopping.Progress
  facts: dict[str, Any]
  code: dict[str, Any]
  skipped: tuple[tuple[int, str], ...]


class Checkpoints:
  """The checkpoints of one run; use it in a `with` block.

  Saving is asynchronous: the arrays are copied before `save` returns, hashed
  and written behind the training steps that follow. Leaving the block, however
  that happens, waits for them; from Python 3.12 on a save outside a block waits
  itself. Until the first `save` nothing on disk changes but what a killed run
  left unfinished.
  """

  def __init__(
      self, directory: str | os.PathLike[str], keep_last: int = 2,
      keep_best: int = 1, facts: Mapping[str, Any] | None = None, *,
      on_damaged: Literal['older', 'fail'] = 'older',
      max_failed_saves: int = 3, before_save: Callable[[], None] | None = None,
  ):
    """Names the directory; what is written creates it.

    Args:
      directory: Where the steps lie.
      keep_last: Newest steps to keep.
      keep_best: Steps with the lowest score to keep besides.
      facts: JSON facts stored with every step: 'config', 'pipeline', ...
      on_damaged: Where the newest step is damaged: use an 'older', or 'fail'.
      max_failed_saves: Saves in a row that may fail before the run ends.
      before_save: Called before each save; what it raises prevents the save.
    """
    if on_damaged not in ('older', 'fail'):
      raise errors.InputError(
          f'on_damaged is {on_damaged!r}; choose "older" or "fail".')
    if max_failed_saves < 1:
      raise errors.InputError(
          f'max_failed_saves is {max_failed_saves}; it should be at least 1.')
    self._directory = pathlib.Path(directory).absolute()
    self._facts = secrets.redact(json.loads(json.dumps(dict(facts or {}))))
    self._on_damaged = on_damaged
    self._before_save = before_save
    self._writer = writing.Writer(
        self._directory, keep_last, keep_best, max_failed_saves)
    self._damaged = ()  # Steps in the way of those to come.
    self._blocks = 0  # That wait for the last save when they are left.

  def __enter__(self) -> 'Checkpoints':
    self._blocks += 1
    return self

  def __exit__(self, kind, error, trace) -> None:
    self._blocks -= 1
    if error is None or isinstance(error, SystemExit):
      self.close()  # An exit that claims success must not hide a failure.
    else:
      self._writer.join()  # Told when it failed; `error` is what ends the run.

  def preflight(self, state: step_lib.TrainState) -> None:
    """Checks that all steps to be kept will fit on the disk.

    Args:
      state: What will be saved, or its shapes.

    Raises:
      InputError: If not, with the bytes needed and free; or if the directory
        cannot be written to.
    """
    self._writer.join()
    self._writer.open()
    count, size = self._writer.most_steps, items_lib.size(state)
    held = sum(path.stat().st_size for step in reading.steps(self._directory)
               for path in (self._directory / str(step)).rglob('*')
               if path.is_file())
    free = shutil.disk_usage(self._directory).free
    if count * size > free + held:
      raise errors.InputError(
          f'{self._directory} has no room for checkpoints: {count} of '
          f'{size:,} bytes (keep_last, keep_best and one being written) need '
          f'{count * size:,} bytes, {free + held:,} are free or hold steps of '
          'this run. Make room, keep fewer, or use another --workdir.')

  def save(
      self, step: int, state: step_lib.TrainState,
      progress: stopping.Progress = stopping.Progress(),
      score: float | None = None,
  ) -> None:
    """Starts writing a step, once the save before is done.

    A save that fails later, as on a full disk, is told and counted; the steps
    before it stay whole.

    Args:
      step: Its number, above all saved so far.
      state: The state, one copy of it (see `parallel`'s `gather`).
      progress: What to get back with it.
      score: What 'best' goes by: lower is better. None counts as worst.

    Raises:
      InputError: If the step, or a newer one, is there already.
      FailedSaves: If `max_failed_saves` in a row have failed.
    """
    self._writer.join()
    if self._before_save is not None:
      self._before_save()
    self._writer.open()
    self._writer.set_aside(self._damaged)
    self._damaged = ()
    newest = max(reading.steps(self._directory), default=None)
    if newest is not None and newest >= step:
      raise errors.InputError(
          f'Step {step} cannot be saved in {self._directory}: step {newest} is '
          f'already there. Continue from it, or use another directory.')
    if score is not None and not math.isfinite(score):
      score = None
    progress = json.loads(json.dumps(dataclasses.asdict(progress)))
    self._writer.start(items_lib.to_host(state), {
        'step': step, 'score': score, 'facts': self._facts,
        'progress': progress})
    # A process that ends lets no thread start another any more: then it would
    # be too late to wait.
    if not self._blocks and sys.version_info >= (3, 12):
      self._writer.join()

  def steps(self) -> list[int]:
    """Returns the steps on disk, oldest first."""
    self._writer.join()
    return reading.steps(self._directory)

  def restore_latest(self, target: step_lib.TrainState) -> Restored | None:
    """Returns the newest step that is sound; None if there is no step."""
    return self.restore(target, 'latest') if self.steps() else None

  def resume(
      self, state: step_lib.TrainState, override: Sequence[str] = ()
  ) -> tuple[step_lib.TrainState, stopping.Progress]:
    """Returns where the run stopped; `state` itself if the run is new.

    Args:
      state: Where it starts if it is new; else the structure of what is there.
      override: Fields of the 'pipeline' among the facts, such as 'data.seed',
        that may differ from the saved ones, see `changes`.

    Raises:
      InputError: As `restore`, or if the run would see other batches than the
        saved one, with a table of what differs.
    """
    if not self.steps():
      return state, stopping.Progress()
    found = self._restore(
        state, 'latest', lambda about: self._check_pipeline(about, override))
    return found.state, found.progress

  def restore(
      self, target: step_lib.TrainState, step: int | str = 'latest'
  ) -> Restored:
    """Returns a step, verified array by array.

    Args:
      target: A state (or its shapes) with the structure to restore into.
      step: A number, 'best' or 'latest'. The words fall back to the next best
        or next older step where one is damaged.

    Raises:
      InputError: If there is no such step, all are damaged, or arrays have
        other names, shapes or types than the target's.
    """
    self._writer.join()
    return self._restore(target, step, lambda about: None)

  def wait(self) -> None:
    """Returns when all saves are on disk.

    Raises:
      FailedSaves: If the last one failed.
    """
    self._writer.join()
    self._writer.check()

  def close(self) -> None:
    """As `wait`; never leave a process without it."""
    self.wait()

  def _restore(self, target, step, check):
    wanted = jax.eval_shape(items_lib.of, target)

    def read(number):
      about = reading.about(self._directory, number)
      _check_structure(number, about['arrays'], wanted)
      check(about)
      return about, _progress(number, about), {
          name: reading.item(self._directory, number, name, about)
          for name in wanted}

    number, (about, progress, found), skipped = reading.first_sound(
        self._directory, step, read, self._on_damaged,
        ' To stop instead: --on_damaged=fail')
    if step == 'latest':
      self._damaged = tuple(number for number, _ in skipped)
    return Restored(
        number, items_lib.to_state(found, target), progress, about['facts'],
        about['code'], skipped)

  def _check_pipeline(self, about, override):
    if 'pipeline' not in self._facts:
      return
    changed = config_lib.difference(
        about['facts'].get('pipeline', {}), self._facts['pipeline'])
    changes.judge(f'{self._directory} (step {about["step"]})', changed,
                  changes.Rules(), override)
    if changed:
      _logger.warning(
          'Goes on with other batches, as --override says (saved -> now):%s',
          changes.table(changed))


def restore_params(
    directory: str | os.PathLike[str], step: int | str = 'best',
    average: bool = True,
) -> tuple[int, dict[str, Any]]:
  """Returns (step, parameters) of a run; needs neither model nor optimizer.

  Args:
    directory: Where `Checkpoints` kept them; it need not be writable.
    step: A number, 'best' or 'latest', as in `Checkpoints.restore`.
    average: Whether to return the moving average where the run kept one.

  Returns:
    The step's number, and the nested dict of NumPy arrays, verified.

  Raises:
    InputError: If there is no such step, or none is sound.
  """
  directory = pathlib.Path(directory).absolute()

  def read(number):
    about = reading.about(directory, number)
    name = 'ema' if average and 'ema' in about['arrays'] else 'params'
    return reading.item(directory, number, name, about)

  number, params, _ = reading.first_sound(directory, step, read)
  return number, params


def best_step(directory: str | os.PathLike[str]) -> int | None:
  """Returns the step with the lowest score; None if none has one."""
  ranked = reading.by_score(pathlib.Path(directory).absolute())
  return ranked[0][1] if ranked and ranked[0][0] < math.inf else None


def _progress(step, about) -> stopping.Progress:
  known = {field.name for field in dataclasses.fields(stopping.Progress)}
  if unknown := about['progress'].keys() - known:
    raise errors.InputError(
        f'Step {step} was saved by another version of lmjax: its progress has '
        f'{sorted(unknown)}, which this one does not know.')
  return stopping.Progress(**about['progress'])


def _check_structure(step, saved, wanted) -> None:
  lines = [f'{name}/{line}' for name in sorted(saved | wanted)
           for line in digests.differences(
               saved.get(name, {}), wanted.get(name, {}))]
  if lines:
    rest = f'\n  ... and {len(lines) - 5} more' if len(lines) > 5 else ''
    raise errors.InputError(
        f'Step {step} was saved by another model or optimizer (saved -> now):'
        + ''.join(f'\n  {line}' for line in lines[:5]) + rest)
