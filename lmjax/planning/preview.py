"""A preview of a run, which `--dry_run` prints: size, cost and first batch."""
from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import pathlib
import tempfile
from typing import Any

import jax
import rich.console
import rich.table

from lmjax.core import config as config_lib
from lmjax.data.text import tfds
from lmjax import experiment
from lmjax.models import cost
from lmjax.nn.mixture import experts
from lmjax.parallel import sharding
from lmjax.recipes import memory
from lmjax.recipes import prepared
from lmjax.recipes import pretraining
from lmjax.recipes import targets
from lmjax.run import directory
from lmjax.run import launch as launching
from lmjax.training.optimizers import schedules


def show(config: experiment.Pretrain | experiment.Count, workdir: str,
         launch: launching.Launch = launching.Launch(),
         console: rich.console.Console | None = None) -> None:
  """Prints the size, the cost and the first batch of a run, without a step.

  For a counted model it prints only the data. Nothing is written or downloaded,
  and what the run would refuse before its first step is refused.

  Args:
    config: The run; its model's vocabulary may be None, for the tokenizer's.
    workdir: The directory of the run, whose tokenized text is used.
    launch: The options with which the run would start.
    console: The console to print to; None prints to stdout.

  Raises:
    InputError: If the run would be refused, or its data are not there yet.
  """
  console = console or rich.console.Console()
  directory.check(workdir, config, override=launch.override)
  for part in config_lib.parts(config.data):
    if isinstance(part, tfds.Tfds):
      part.check_prepared()
  with _scratch(config, workdir) as copy:
    if isinstance(config, experiment.Count):
      config.scoring.settled(config.context)
      data = copy.data.build(workdir)
    else:
      parts = prepared.prepare(copy, workdir)
      data = parts.data
      _, _, plan = pretraining.checked(parts, launch)
    directory.check(workdir, config, data.hashes(), launch.override)
    console.print(data.describe(), highlight=False)
    if isinstance(config, experiment.Pretrain):
      _show(parts, plan, console)


@contextlib.contextmanager
def _scratch(config: Any, workdir: str) -> Iterator[Any]:
  """Yields the config with a temporary cache, which has links to the run's."""
  cache = pathlib.Path(config.data.cache or pathlib.Path(workdir) / 'cache')
  with tempfile.TemporaryDirectory(prefix='lmjax-dry-run-') as folder:
    for store in cache.glob('tokens-*'):
      (pathlib.Path(folder) / store.name).symlink_to(store.absolute())
    yield dataclasses.replace(config, data=dataclasses.replace(
        config.data, cache=folder))


def _show(parts: prepared.Prepared, plan: memory.Plan,
          console: rich.console.Console) -> None:
  """Prints the size, the cost and the first batch of a trained model."""
  config = parts.config
  batches, params = parts.batches, parts.shapes
  first = batches(0)

  sizes = config.training.mesh_sizes(jax.local_device_count())
  held = sharding.bytes_per_device(parts.state_shapes, sizes)
  counts = cost.parameters_by_part(params)
  total = sum(counts.values())
  table = _table('Parameters', 'part', 'count', 'share', 'MiB a device')
  for part, count in counts.items():
    table.add_row(part, f'{count:,}', f'{count / total:.1%}',
                  _mebibytes(_of_part(held, part)))
  table.add_row('all', f'{total:,}', '', _mebibytes(_under(held, 'params/')),
                style='bold')
  mixture = parts.sized.traits.mixture
  if mixture is not None:
    active = experts.active_parameters(params, mixture)
    table.add_row('used for a token', f'{active:,}', f'{active / total:.1%}')
  console.print(table)

  flops, tokens = parts.flops_per_step, batches.tokens_per_batch
  console.print(
      f'{flops / tokens / 1e6:,.2f} MFLOPs per token, {flops / 1e9:,.2f} '
      f'GFLOPs per step of {tokens:,} tokens, {config.training.steps:,} steps: '
      f'{config.training.steps / batches.steps_per_epoch:,.2f} epochs.',
      highlight=False)
  if note := schedules.shortened(
      config.optimizer.schedule, config.training.steps):
    console.print(note, highlight=False)

  console.print(_memory(plan, _under(held, 'opt_state/')))
  if config.training.parallel == 'mesh':
    console.print(_of_mesh(sizes), highlight=False)

  console.print(
      f'First batch, row 0 of {len(first["inputs"])}; '
      f'{first["weights"].mean():.1%} of all targets count. Targets that count '
      'are green, the others red:')
  console.print(targets.text_of(first, 0, parts.tokenizer))
  for name, array in first.items():
    if name.endswith('inputs') or name == 'targets':
      console.print(f'{name:<15} {array[0, :12].tolist()} ...')


def _memory(plan, waiting) -> rich.table.Table:
  """Returns a table of a device's memory for the state and for a step."""
  table = _table('Memory on one device', 'of', 'MiB')
  for name, size in plan.needed.items():
    table.add_row(name, _mebibytes(size))
  table.add_row('all', _mebibytes(plan.total), style='bold')
  if 'optimizer' not in plan.needed:
    table.add_row('optimizer, on the host', _mebibytes(waiting))
  if plan.available is not None:
    table.add_row('there is', _mebibytes(plan.available))
  return table


def _of_mesh(sizes: Mapping[str, int]) -> str:
  """Returns a note on the memory of a device on a mesh."""
  mesh = ', '.join(
      f'{name} {size}' for name, size in sizes.items() if size > 1)
  return (f'Mesh: {mesh or "one device"}. Activations are for the rows of a '
          'device, before the axes sequence, tensor and stage divide some of '
          'them. The parameters of a layer, which are gathered along fsdp '
          'while it computes, are not included.')


def _of_part(held: Mapping[str, int], part: str) -> int:
  """Returns the bytes of parameters under a top-level name; blocks are one."""
  def belongs(path):
    field, _, rest = path.partition('/')
    name = rest.partition('/')[0]
    return field == 'params' and (
        name.startswith('layer') if part == 'layers' else name == part)
  return sum(size for path, size in held.items() if belongs(path))


def _under(held: Mapping[str, int], start: str) -> int:
  """Returns the bytes of all arrays whose path starts with `start`."""
  return sum(size for path, size in held.items() if path.startswith(start))


def _mebibytes(size: int) -> str:
  return f'{size / 2**20:,.1f}'


def _table(title, *columns):
  table = rich.table.Table(title=title, title_justify='left')
  for i, column in enumerate(columns):
    table.add_column(column, justify='right' if i else 'left')
  return table
