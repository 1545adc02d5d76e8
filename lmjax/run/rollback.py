"""Rolling a run back to an earlier step, to continue without bad batches."""
import dataclasses
import datetime
import os
import pathlib

from lmjax.checkpoints import reading
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import durable
from lmjax.core.files import strict_json
from lmjax.run import directory
from lmjax.run import lock
from lmjax.run import skips as skips_lib


@dataclasses.dataclass(frozen=True)
class Done:
  """The result of a rollback.

  Attributes:
    to_step: The step from which the run will continue.
    moved: The steps of the checkpoints that were moved aside.
    rows: The number of rows of metrics and events that were moved aside.
    folder: The folder they were moved to; None if there were none.
    batches: The batches that the run skips because of this and earlier
      rollbacks, as pairs (first, one past the last).
  """
  to_step: int
  moved: tuple[int, ...]
  rows: int
  folder: pathlib.Path | None
  batches: tuple[tuple[int, int], ...]

  def describe(self) -> str:
    """Returns the result in sentences."""
    lines = [f'The run continues from step {self.to_step} when it is started '
             'again.']
    if self.folder is not None:
      steps = ', '.join(map(str, self.moved)) or 'none'
      lines.append(f'Checkpoints of later steps ({steps}) and {self.rows} rows '
                   f'of metrics and events are in {self.folder}.')
    if self.batches:
      ranges = ', '.join(f'{a} to {b - 1}' for a, b in self.batches)
      lines.append(f'Skipped batches, counted from 0: {ranges}.')
    return '\n'.join(lines)


def rollback(workdir: str | os.PathLike[str], to_step: int,
             skip_batches: int = 0, takeover: bool = False) -> Done:
  """Rolls a run back to a checkpoint; the run must not be running.

  Nothing is deleted: later checkpoints, metrics and events are moved into a
  dated folder of the run directory. If the process is killed meanwhile, the
  same call completes the rollback, since skips.json is written last.

  Args:
    workdir: The run directory.
    to_step: A step with an intact checkpoint.
    skip_batches: The number of batches to skip from there on, namely those of
      the steps to_step + 1, ... to_step + skip_batches.
    takeover: Whether to take the directory over from a run that seems to hold
      it.

  Raises:
    InputError: If there is no such run or step, the step is damaged, or the
      run is running. Then nothing has been changed.
  """
  run = directory.RunDir(pathlib.Path(workdir))
  if not run.config.is_file():
    raise errors.InputError(
        f'{run.path} is not a run directory: it has no {run.config.name}.')
  if skip_batches < 0:
    raise errors.InputError(
        f'skip_batches should be at least 0; got {skip_batches}.')
  with lock.held(run.path, takeover):
    skips = skips_lib.Skips.read(run.path)
    _check(run, to_step)
    later = [step for step in reading.steps(run.checkpoints)
             if step > to_step]
    files = [run.metrics, run.events]
    cuts = {path: _cut(path, to_step) for path in files if path.exists()}
    rows = sum(len(after) for _, after in cuts.values())
    folder = _folder(run.path) if later or rows else None
    if folder is not None:
      _move(run, folder, later, cuts)
    if skip_batches:
      skips = skips.after(to_step, skip_batches)
      skips.write(run.path)
    return Done(to_step, tuple(later), rows, folder, skips.ranges)


def _check(run, to_step):
  """Raises InputError if a step has no checkpoint or a damaged one."""
  steps = reading.steps(run.checkpoints)
  if to_step not in steps:
    raise errors.InputError(
        f'{run.path} has no checkpoint of step {to_step}, only of '
        f'{", ".join(map(str, steps)) or "none"}; choose one of them '
        '(a run keeps the last --config.training.keep_last checkpoints).')
  try:
    about = reading.about(run.checkpoints, to_step)
    for name in about['arrays']:
      reading.item(run.checkpoints, to_step, name, about)
  except reading.Damaged as error:
    raise errors.InputError(
        f'Step {to_step} of {run.path} is damaged ({error}); choose another '
        f'of {steps}.') from error


def _cut(path, to_step):
  """Returns the lines up to a step and those after it."""
  lines = path.read_text(encoding='utf-8').splitlines(keepends=True)
  kept = []
  for number, line in enumerate(lines, 1):
    if not line.endswith('\n'):
      break  # The process was killed while it wrote this line.
    try:
      if strict_json.loads(line, lenient=True)['step'] <= to_step:
        kept.append(number)
    except (ValueError, LookupError, TypeError) as error:
      raise errors.InputError(
          f'{path}:{number} is not the row of a step ({error!r}); repair or '
          'delete that line.') from error
  return ([lines[n - 1] for n in kept],
          [line for n, line in enumerate(lines, 1) if n not in set(kept)])


def _folder(path):
  """Returns a new dated folder below `path`."""
  now = datetime.datetime.now(datetime.timezone.utc)
  folder = path / 'rolled_back' / now.strftime('%Y-%m-%dT%H-%M-%S.%fZ')
  durable.make_folder(folder)
  return folder


def _move(run, folder, later, cuts):
  """Moves later checkpoints, the newest first, and later rows to `folder`."""
  for step in reversed(later):
    aside = folder / run.checkpoints.name / str(step)
    durable.make_folder(aside.parent)
    durable.rename(run.checkpoints / str(step), aside)
  for path, (kept, after) in cuts.items():
    if after:
      atomic.write(folder / path.name, ''.join(after))
      atomic.write(path, ''.join(kept))
