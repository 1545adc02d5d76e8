"""Checkpoints of a run, from which it resumes exactly.

A step is one Orbax composite, which is either complete or absent. It contains
the arrays of the state (see `items`) and `about`, a JSON text with the SHA-256
of every array, the run's progress, config and data pipeline, the versions of
the code, and the SHA-256 of the text itself. Restoring verifies all digests; if
one is wrong, the step before is used.
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
from lmjax.core import layouts
from lmjax.core import secrets
from lmjax.core import trees
from lmjax.training import step as step_lib
from lmjax.training import stopping

_logger = logging.getLogger(__name__)
FailedSaves = writing.FailedSaves


@dataclasses.dataclass(frozen=True)
class Restored:
  """A restored checkpoint.

  Attributes:
    step: The step at which it was saved.
    state: The training state.
    progress: The progress of the run.
    facts: The facts that `Checkpoints` was opened with.
    code: Versions and git state of the code that wrote it, see
      `provenance.describe`.
    skipped: Damaged steps that were tried before it, as (step, reason).
  """
  step: int
  state: step_lib.TrainState
  progress: stopping.Progress
  facts: dict[str, Any]
  code: dict[str, Any]
  skipped: tuple[tuple[int, str], ...]


class Checkpoints:
  """The checkpoints of one run, to be used in a `with` block.

  Saving is asynchronous: `save` copies the arrays, which are then hashed and
  written while training continues. The end of the block always waits for the
  last save. Outside a block, `save` itself waits from Python 3.12 on. Before
  the first `save`, nothing on disk changes except that incomplete steps of a
  killed run are removed.
  """

  def __init__(
      self, directory: str | os.PathLike[str], keep_last: int = 2,
      keep_best: int = 1, facts: Mapping[str, Any] | None = None, *,
      on_damaged: Literal['older', 'fail'] = 'older',
      max_failed_saves: int = 3, before_save: Callable[[], None] | None = None,
      logs: Sequence[str | os.PathLike[str]] = (),
  ):
    """Initializes the store; the directory is created by the first write.

    Args:
      directory: The directory of the steps.
      keep_last: Number of newest steps to keep.
      keep_best: Number of steps with the lowest scores to keep as well.
      facts: JSON facts stored with every step: 'config', 'pipeline', ...
      on_damaged: If the newest step is damaged, use an 'older' one or 'fail'.
      max_failed_saves: Number of consecutive saves that may fail before the run
        ends.
      before_save: Function called before each save, which prevents the save by
        raising an exception.
      logs: Files to which the run appends rows, such as its metrics. The rows
        are synced to the disk before a step is called complete, so that after a
        power cut none is missing up to the step that is restored.
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
        self._directory, keep_last, keep_best, max_failed_saves,
        tuple(map(pathlib.Path, logs)))
    self._damaged = ()  # Damaged steps, to be moved aside before a save.
    self._blocks = 0  # The number of open `with` blocks.

  def __enter__(self) -> 'Checkpoints':
    self._blocks += 1
    return self

  def __exit__(self, kind, error, trace) -> None:
    self._blocks -= 1
    if error is None or isinstance(error, SystemExit):
      self.close()  # Raises if the last save failed, rather than hide it.
    else:
      self._writer.join()  # A failed save was logged; `error` is raised.

  def preflight(self, state: step_lib.TrainState) -> None:
    """Checks that all steps to be kept will fit on the disk.

    Args:
      state: The state that will be saved, or its shapes.

    Raises:
      InputError: If they do not fit, with the bytes needed and free; or if the
        directory cannot be written to.
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
    """Starts writing a step, after the previous save has ended.

    If the save fails later, as on a full disk, this is logged and counted; the
    steps before it stay intact.

    Args:
      step: The number of the step, higher than all saved steps.
      state: The state as one copy (see `gather` in `parallel`).
      progress: The progress of the run.
      score: The score that decides the best step; lower is better, and None is
        worst.

    Raises:
      InputError: If the step, or a newer one, has been saved already.
      FailedSaves: If `max_failed_saves` consecutive saves have failed.
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
    # From Python 3.12 on, threads cannot start other threads at the end of the
    # process, so that a save could not be completed then.
    if not self._blocks and sys.version_info >= (3, 12):
      self._writer.join()

  def steps(self) -> list[int]:
    """Returns the steps on disk, oldest first."""
    self._writer.join()
    return reading.steps(self._directory)

  def restore_latest(self, target: step_lib.TrainState) -> Restored | None:
    """Returns the newest intact step, or None if there are no steps."""
    return self.restore(target, 'latest') if self.steps() else None

  def resume(
      self, state: step_lib.TrainState, override: Sequence[str] = ()
  ) -> tuple[step_lib.TrainState, stopping.Progress]:
    """Returns the state and progress of the newest step, or of a new run.

    Args:
      state: The initial state, which is returned if there are no steps;
        otherwise the structure to restore into.
      override: Fields of the fact 'pipeline', such as 'data.seed', that may
        differ from the saved ones, see `changes`.

    Raises:
      InputError: If `restore` raises it, or if the run would see other batches
        than the saved one, with a table of the differences.
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

    Layers that were saved stacked are read as layers apart, and the other way
    round, where the target has them so; see `layouts`.

    Args:
      target: A state (or its shapes) with the structure to restore into.
      step: A number, 'best' or 'latest'. If the best or latest step is damaged,
        the next best or next older step is restored.

    Raises:
      InputError: If there is no such step, all are damaged, or arrays have
        other names, shapes or types than in the target.
    """
    self._writer.join()
    return self._restore(target, step, lambda about: None)

  def wait(self) -> None:
    """Waits until all saves are on disk.

    Raises:
      FailedSaves: If the last one failed.
    """
    self._writer.join()
    self._writer.check()

  def close(self) -> None:
    """Calls `wait`; has to be called before the process ends."""
    self.wait()

  def _restore(self, target, step, check):
    wanted = jax.eval_shape(items_lib.of, target)
    names = {name: trees.nested(trees.items(tree))
             for name, tree in wanted.items()}

    def read(number):
      about = reading.about(self._directory, number)
      _check_structure(number, about['arrays'], names)
      check(about)
      return about, _progress(number, about), {
          name: layouts.like(
              reading.item(self._directory, number, name, about), names[name])
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
          'Continues with other batches because of --override (saved -> now):'
          '%s', changes.table(changed))


def restore_params(
    directory: str | os.PathLike[str], step: int | str = 'best',
    average: bool = True, like: Any = None,
    check: Callable[[dict[str, Any]], None] | None = None,
) -> tuple[int, dict[str, Any]]:
  """Returns the parameters of a step, without a model or optimizer.

  Args:
    directory: The directory of `Checkpoints`; it need not be writable.
    step: A number, 'best' or 'latest', as in `Checkpoints.restore`.
    average: Whether to return the moving average if the run kept one.
    like: Parameters, or their shapes, in whose layout of layers to return them,
      see `layouts.like`; None keeps the layout in which they were saved.
    check: Function called with the step's description before its parameters are
      read, which refuses the step by raising an InputError.

  Returns:
    The number of the step, and its parameters as nested dicts of verified NumPy
    arrays.

  Raises:
    InputError: If there is no such step, or all steps to try are damaged.
  """
  directory = pathlib.Path(directory).absolute()

  def read(number):
    about = reading.about(directory, number)
    if check is not None:
      check(about)
    name = 'ema' if average and 'ema' in about['arrays'] else 'params'
    return reading.item(directory, number, name, about)

  number, params, _ = reading.first_sound(directory, step, read)
  return number, layouts.like(params, like)


def best_step(directory: str | os.PathLike[str]) -> int | None:
  """Returns the step with the lowest score, or None if no step has one."""
  ranked = reading.by_score(pathlib.Path(directory).absolute())
  return ranked[0][1] if ranked and ranked[0][0] < math.inf else None


def _progress(step, about) -> stopping.Progress:
  known = {field.name for field in dataclasses.fields(stopping.Progress)}
  if unknown := about['progress'].keys() - known:
    raise errors.InputError(
        f'Step {step} was saved by another version of lmjax: its progress has '
        f'the fields {sorted(unknown)}, which this version does not have.')
  return stopping.Progress(**about['progress'])


def _check_structure(step, saved, wanted) -> None:
  """Raises InputError unless what was saved is or becomes what is wanted."""
  lines, moved = [], ''
  for name in sorted(saved | wanted):
    old, new = saved.get(name, {}), wanted.get(name, {})
    tree = trees.nested(
        (path, jax.ShapeDtypeStruct(tuple(leaf['shape']), leaf['dtype']))
        for path, leaf in old.items())
    if not layouts.alike(tree, new):
      moved = ('\nOne of them has layers stacked (scan=True) that the other '
               'has apart. If nothing else was changed, the state of this '
               'optimizer cannot be converted: set scan to its saved value.')
      try:
        old = digests.kinds(jax.eval_shape(
            lambda tree, new=new: layouts.like(tree, new), tree))
      except errors.InputError as error:
        lines.append(f'{name}: {error}')
        continue
    lines += [f'{name}/{line}' for line in digests.differences(old, new)]
  if lines:
    rest = f'\n  ... and {len(lines) - 5} more' if len(lines) > 5 else ''
    raise errors.InputError(
        f'Step {step} was saved by another model or optimizer (saved -> now):'
        + ''.join(f'\n  {line}' for line in lines[:5]) + rest + moved)
