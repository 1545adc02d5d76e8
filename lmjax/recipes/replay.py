"""Replays a step of a run, and shows its batch, documents and loss."""
import dataclasses
import functools
import pathlib
from typing import Any

import rich.console
import rich.table
import rich.text

from lmjax.checkpoints import reading
from lmjax.checkpoints import store
from lmjax.core import digests
from lmjax.core import errors
from lmjax.core import metrics as metrics_lib
from lmjax import experiment
from lmjax.recipes.loaded import trained
from lmjax.recipes import prepared
from lmjax.recipes import targets
from lmjax.run import directory
from lmjax.run import skips as skips_lib
from lmjax.training import guard
from lmjax.training import log
from lmjax.training import step as step_lib
from lmjax.training import writers


@dataclasses.dataclass(frozen=True)
class Replayed:
  """The result of replaying a step.

  Attributes:
    step: The number of the step, from 1.
    index: The number of its batch, from 0.
    documents: The documents of each row, as numbers in the training tokens.
    digest: Digest of the batch.
    start: The step of the checkpoint that the replay starts from; 0 if it
      starts from the initial parameters.
    values: The metrics of the step: 'loss', 'grad_norm', ...
    logged: The row of metrics.jsonl that covers the step, or None.
    over: The steps that this row covers.
    again: The same row from the replayed steps: the mean over those that were
      not skipped, and a digest of their batches. None if not all of the steps
      were replayed.
  """
  step: int
  index: int
  documents: list[list[int]]
  digest: str
  start: int
  values: dict[str, float]
  logged: dict[str, Any] | None
  over: range
  again: dict[str, Any] | None


def replay(config: experiment.Pretrain | None, workdir: str, step: int,
           console: rich.console.Console | None = None) -> Replayed:
  """Runs a step of a run again, and prints its batch and its metrics.

  Only text that is not in the cache is written into the run directory.

  Args:
    config: The config of the run; None reads it from the directory.
    workdir: The run directory.
    step: The number of the step, from 1, as in metrics.jsonl.
    console: The console to print to.

  Raises:
    InputError: If there is no such run, the run has not reached the step, or
      the config or data differ from the run's.
  """
  console = console or rich.console.Console()
  run = directory.RunDir(pathlib.Path(workdir))
  saved = trained.read_config(run)
  config = saved if config is None else config
  if not isinstance(config, experiment.Pretrain):
    raise errors.InputError(f'{run.path} is of a counted model: no steps.')
  rows = writers.read(run.metrics)
  _check_step(run, rows, step)
  directory.check(workdir, config)
  parts = prepared.prepare(config, workdir)
  directory.check(workdir, config, parts.data.hashes())
  skips = skips_lib.Skips.read(run.path)

  index = skips.index(step - 1)
  batch = parts.batches(index)
  documents = parts.batches.documents(index)
  digest = digests.batch(batch)
  _show_batch(console, step, index, digest, batch, documents, parts.tokenizer)

  logged, over = _row_of(rows, step)
  start, state = _start(console, run, parts, step)
  console.print(
      f'Steps {start + 1} to {over[-1]} are run again from '
      + (f'the checkpoint of step {start}.' if start else
         'the initial parameters: there is no sound checkpoint before.'))
  ran = _run(parts, skips, state, start, over[-1])
  _, metrics = ran[step]
  values = _values([metrics])
  if values['skipped']:
    reason = guard.reason(values['loss'], values['grad_norm'])
    console.print(f'The step changed nothing: {reason}.', highlight=False)
  again = None
  if over[0] > start:
    again = _row([ran[number] for number in over])
  found = Replayed(
      step, index, documents, digest, start, values, logged, over, again)
  _show_values(console, found)
  return found


def _check_step(run, rows, step):
  """Raises InputError for a step that the run has not reached."""
  events = writers.read(run.events)
  last = max([0, *(row['step'] for row in [*rows, *events]),
              *reading.steps(run.checkpoints)])
  if not 1 <= step <= last:
    raise errors.InputError(
        f'{run.path} has no step {step}: its steps are 1 to {last}.'
        if last else f'{run.path} has not made a step yet.')


def _row_of(rows, step):
  """Returns the row that covers a step, and the steps that it covers."""
  before = 0
  for row in rows:
    if 'loss' not in row:
      continue  # A row of an evaluation.
    if row['step'] >= step:
      return row, range(before + 1, row['step'] + 1)
    before = row['step']
  return None, range(step, step + 1)


def _start(console, run, parts, step):
  """Returns the newest intact checkpoint before a step, or 0, and its state."""
  for number in reading.steps(run.checkpoints)[::-1]:
    if number >= step:
      continue
    try:
      return number, store.Checkpoints(run.checkpoints).restore(
          parts.state_shapes, number).state
    except errors.InputError as error:
      console.print(str(error), highlight=False, markup=False)
  return 0, parts.initial_state()


def _run(parts, skips, state, start, stop):
  """Runs steps `start + 1` to `stop`; returns {step: (batch digest, metrics)}.
  """
  training = parts.config.training
  strategy = training.strategy()
  update = strategy.compile(functools.partial(
      step_lib.train_step, objective=parts.objective,
      optimizer=parts.optimizer, ema_decay=training.ema_decay,
      guard=training.guard), training.microbatches)
  state, ran = strategy.place(state), {}
  for number in range(start + 1, stop + 1):
    batch = parts.batches(skips.index(number - 1))
    state, metrics = update(state, strategy.shard(batch))
    ran[number] = digests.batch(batch), strategy.fetch(metrics)
  return ran


def _row(ran):
  """Returns the row that the log writes for steps; see `log.Log.flush`."""
  batches, metrics = zip(*ran)
  good = [one for one in metrics if not one['skipped'].total]
  return _values(good or metrics) | {'batch': log.digest(batches)}


def _values(metrics):
  return {name: float(mean.value)
          for name, mean in metrics_lib.merge(metrics).items()}


def _show_batch(console, step, index, digest, batch, documents, tokenizer):
  console.print(
      f'Step {step} saw batch {index} (from 0), {digest}: '
      f'{len(documents)} rows. Targets that count are green, the others red:',
      highlight=False)
  for row, numbers in enumerate(documents):
    console.print(f'--- row {row}, documents '
                  f'{", ".join(map(str, numbers)) or "none"}', highlight=False)
    console.print(targets.text_of(batch, row, tokenizer))


def _show_values(console, found):
  """Prints the metrics of the replayed step next to the logged ones."""
  table = rich.table.Table(
      title=f'Step {found.step}', title_justify='left')
  for name in ('', 'step', 'run again', 'logged', ''):
    table.add_column(name)
  own = found.values | {'batch': found.digest}
  alone = list(found.over) == [found.step]
  for name in ('loss', 'grad_norm', 'batch'):
    if found.logged is None or not alone:
      table.add_row(name, str(found.step), _text(own[name]), '', '')
  for name in ('loss', 'grad_norm', 'batch'):
    if found.logged is not None and name in found.logged:
      again, logged = found.again and found.again[name], found.logged[name]
      table.add_row(
          name, f'{found.over[0]} to {found.over[-1]}' if not alone else str(
              found.step), _text(again), _text(logged),
          '' if again is None else _compared(again, logged))
  console.print(table)


def _text(value):
  """Returns a number or a digest as a cell."""
  return f'{value:.7g}' if isinstance(value, float) else value or ''


def _compared(again, logged):
  if again == logged or again != again and logged != logged:  # NaN.
    return 'same'
  if isinstance(again, str):
    return 'different'
  return f'differs by {abs(again - logged):.1e}'
