"""Taking a run back to an earlier step, past the batches that spoiled it."""
import dataclasses
import datetime
import os
import pathlib

from lmjax.checkpoints import reading
from lmjax.core import atomic
from lmjax.core import errors
from lmjax.core import strict_json
from lmjax.run import directory
from lmjax.run import lock
from lmjax.run import skips as skips_lib


@dataclasses.dataclass(frozen=True)
class Done:
  """What a rollback has done.

  Attributes:
    to_step: The step that the run will go on from.
    moved: Checkpoints that were moved aside.
    rows: How many rows of metrics and events were.
    folder: Where they are now; None if there were none.
    batches: Those that will be left out, of all rollbacks of the run.
  """
  to_step: int
  moved: tuple[int, ...]
  rows: int
  folder: pathlib.Path | None
  batches: tuple[tuple[int, int], ...]

  def describe(self) -> str:
    """Returns it in sentences."""
    lines = [f'The run goes on from step {self.to_step} when it is started '
             'again.']
    if self.folder is not None:
      steps = ', '.join(map(str, self.moved)) or 'none'
      lines.append(f'Checkpoints of later steps ({steps}) and {self.rows} rows '
                   f'of metrics and events are in {self.folder}.')
    if self.batches:
      ranges = ', '.join(f'{a} to {b - 1}' for a, b in self.batches)
      lines.append(f'Batches left out, counted from 0: {ranges}.')
    return '\n'.join(lines)


def rollback(workdir: str | os.PathLike[str], to_step: int,
             skip_batches: int = 0, takeover: bool = False) -> Done:
  """Takes a run back to a checkpoint; it must not be running.

  Nothing is deleted: what is later goes into a dated folder of the run
  directory. If the process is killed meanwhile, the same call completes it,
  since the batches are written down last.

  Args:
    workdir: The run directory.
    to_step: A step with a sound checkpoint.
    skip_batches: How many batches to leave out from there on: what the steps
      to_step + 1, ... to_step + skip_batches have seen.
    takeover: Whether to take the directory from a run that seems to hold it.

  Raises:
    InputError: If there is no such run or step, the step is damaged, or the
      run is running. Nothing has been changed then.
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
  """Refuses a step that is not there as a whole."""
  steps = reading.steps(run.checkpoints)
  if to_step not in steps:
    raise errors.InputError(
        f'{run.path} has no checkpoint of step {to_step}, only of '
        f'{", ".join(map(str, steps)) or "none"}; choose one of them '
        '(--config.training.keep_last says how many a run keeps).')
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
      break  # Of a process that was killed.
    try:
      if strict_json.loads(line, lenient=True)['step'] <= to_step:
        kept.append(number)
    except (ValueError, LookupError, TypeError) as error:
      raise errors.InputError(
          f'{path}:{number} is no row of a step ({error!r}); mend or delete '
          'that line.') from error
  return ([lines[n - 1] for n in kept],
          [line for n, line in enumerate(lines, 1) if n not in set(kept)])


def _folder(path):
  """Returns a new dated folder below `path`."""
  now = datetime.datetime.now(datetime.timezone.utc)
  folder = path / 'rolled_back' / now.strftime('%Y-%m-%dT%H-%M-%S.%fZ')
  folder.mkdir(parents=True)
  return folder


def _move(run, folder, later, cuts):
  """Moves checkpoints, the newest first, and writes the rows apart."""
  for step in reversed(later):
    aside = folder / run.checkpoints.name / str(step)
    aside.parent.mkdir(exist_ok=True)
    os.rename(run.checkpoints / str(step), aside)
  for path, (kept, after) in cuts.items():
    if after:
      atomic.write(folder / path.name, ''.join(after))
      atomic.write(path, ''.join(kept))
