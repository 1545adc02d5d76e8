"""A preview of a run, which `--dry_run` prints: size, cost and first batch."""
from collections.abc import Mapping

import jax
import rich.console
import rich.table

from lmjax import experiment
from lmjax.models import cost
from lmjax.nn.mixture import experts
from lmjax.parallel import sharding
from lmjax.recipes import prepared
from lmjax.recipes import results
from lmjax.recipes import targets


def show(config: experiment.Pretrain | experiment.Count, workdir: str,
         console: rich.console.Console | None = None) -> None:
  """Prints the size, the cost and the first batch of a run, without a step.

  For a counted model it prints only the data.

  Args:
    config: The run; its model's vocabulary may be None, for the tokenizer's.
    workdir: The directory of the run, for tokenized text if `config.data.cache`
      is None.
    console: The console to print to; None prints to stdout.
  """
  console = console or rich.console.Console()
  if isinstance(config, experiment.Count):
    config.scoring.settled(config.context)
    console.print(config.data.build(workdir).describe(), highlight=False)
    return
  parts = prepared.prepare(config, workdir)
  results.Results(parts)  # Refuses what the run would refuse.
  batches, params = parts.batches, parts.shapes
  first = batches(0)
  console.print(parts.data.describe(), highlight=False)

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

  console.print(_memory(config, parts, first, sizes, held))
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


def _memory(config, parts, first, sizes, held) -> rich.table.Table:
  """Returns a table of a device's memory for the state and for a step."""
  divisor = config.training.microbatches * sharding.shards_of_batch(sizes)
  rows = max(1, config.data.batch_size // divisor)
  activations = cost.memory(
      parts.objective, parts.shapes, parts.optimizer,
      {name: array[:rows] for name, array in first.items()}).activations
  at_rest, average = _under(held, 'params/'), _under(held, 'ema/')
  each = {'parameters': at_rest, 'gradients': at_rest,
          'optimizer': _under(held, 'opt_state/')}
  waiting = {}
  if config.training.offload == 'optimizer':
    waiting['optimizer, on the host'] = each.pop('optimizer')
  each |= {'average': average} if average else {}
  each |= {'activations': activations}
  table = _table('Memory on one device', 'of', 'MiB')
  for name, size in each.items():
    table.add_row(name, _mebibytes(size))
  table.add_row('all', _mebibytes(sum(each.values())), style='bold')
  for name, size in waiting.items():
    table.add_row(name, _mebibytes(size))
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
