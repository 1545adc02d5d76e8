"""The memory that a training step needs, beside the memory that there is."""
from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import os
import pathlib
import sys
from typing import Any

import jax

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.models import cost
from lmjax.parallel import rows as rows_lib
from lmjax.parallel import sharding
from lmjax.training import options
from lmjax.training import step as step_lib

# Fields that change the memory of a run, with advice on each.
_FIELDS = {
    'data.batch_size': 'lower', 'task.features.batch_size': 'lower',
    'training.microbatches': 'raise', 'model.remat': 'set to full',
    'objective.chunk': 'set to a number of tokens',
    'scoring.batch_size': 'lower, if it happens at an evaluation'}
# On a CPU, XLA needs 0.75 to 0.92 of the estimate of a step (measured on the
# demo, tiny_llama and gpt2), so this much above what there is cannot fit.
_CLEARLY = 1.5


@dataclasses.dataclass(frozen=True)
class Plan:
  """The memory of a training step on one device.

  Attributes:
    needed: Estimated bytes by use; all but the activations are exact.
    available: Bytes that there are; None if unknown.
    config: The config of the run.
  """
  needed: Mapping[str, int]
  available: int | None
  config: Any

  @property
  def total(self) -> int:
    return sum(self.needed.values())

  def describe(self) -> str:
    """Returns a sentence on the bytes that are needed and that there are."""
    parts = ', '.join(f'{name} {_gibibytes(size)}'
                      for name, size in self.needed.items())
    there = '' if self.available is None else (
        f', and there are {_gibibytes(self.available)} GiB')
    return (f'a training step needs about {_gibibytes(self.total)} GiB on a '
            f'device ({parts}){there}.')

  def advice(self) -> str:
    """Returns the flags that change the memory, with their values now."""
    leaves = config_lib.leaves(config_lib.to_dict(self.config))
    tunes = 'task.kind' in leaves
    if tunes and leaves.get('init') is not None:  # The model is the run's.
      leaves.pop('model.remat', None)
    now = lambda field: 'none' if leaves[field] is None else leaves[field]
    return 'Flags that save memory: ' + '; '.join(
        f'--config.{field} ({now(field)} now; {verb})'
        for field, verb in _FIELDS.items() if field in leaves) + '.'

  def check(self) -> None:
    """Checks that the step fits; warns if it might not.

    Raises:
      InputError: If it clearly does not fit.
    """
    if self.available is None or self.total <= self.available:
      return
    at_rest = self.total - self.needed['activations'] - self.needed['gradients']
    if self.total > _CLEARLY * self.available or at_rest > self.available:
      raise errors.InputError(
          f'The run does not fit into memory: {self.describe()} '
          f'{self.advice()} --nocheck_memory starts it anyway.')
    print(f'The run may not fit into memory: {self.describe()} '
          f'{self.advice()}', file=sys.stderr)

  @contextlib.contextmanager
  def explained(self) -> Iterator[None]:
    """Turns running out of memory inside the block into a RunError."""
    try:
      yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
      if not (isinstance(error, MemoryError)
              or 'RESOURCE_EXHAUSTED' in str(error)):
        raise
      said = (str(error).splitlines() or [''])[0].strip().rstrip('.')
      raise errors.RunError(
          'Out of memory' + (f' ({said:.200})' if said else '')
          + f'. By the estimate {self.describe()} {self.advice()}') from error


def plan(config: Any, objective: Any, optimizer: Any,
         state: step_lib.TrainState, batch: Mapping[str, Any]) -> Plan:
  """Estimates the memory of a training step; compiles nothing.

  Args:
    config: The config of the run, with `training`.
    objective: `objective(params, batch, rng=key) -> {name: Mean}`.
    optimizer: The optax transformation.
    state: The training state, or its shapes.
    batch: A batch of all rows.
  """
  devices = config.training.strategy().devices
  state = jax.tree.map(
      lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state.replace(rng=None))
  return Plan(needed(config.training, objective, optimizer, state, batch),
              available(devices), config)


def needed(training: options.Training, objective: Any, optimizer: Any,
           state: step_lib.TrainState, batch: Mapping[str, Any]
           ) -> dict[str, int]:
  """Returns the estimated bytes of a training step on one device, by use.

  Args:
    training: How devices are used, and the number of microbatches.
    objective: `objective(params, batch, rng=key) -> {name: Mean}`.
    optimizer: The optax transformation.
    state: The shapes of the training state.
    batch: A batch of all rows.
  """
  sizes = training.mesh_sizes(jax.local_device_count())
  held = sharding.bytes_per_device(state, sizes)
  under = lambda start: sum(
      size for path, size in held.items() if path.startswith(start))
  parts = training.microbatches * sharding.shards_of_batch(sizes)
  rows = max(1, rows_lib.count(batch) // parts)
  activations = cost.memory(
      objective, state.params, optimizer,
      {name: array[:rows] for name, array in batch.items()}).activations
  at_rest, average = under('params/'), under('ema/')
  out = {'parameters': at_rest, 'gradients': at_rest}
  if training.offload != 'optimizer':
    out['optimizer'] = under('opt_state/')
  if average:
    out['average'] = average
  return out | {'activations': activations}


def available(devices: list[jax.Device]) -> int | None:
  """Returns the bytes of memory that each device has, or None if unknown.

  CPU devices share the memory that is available on the machine, swap included,
  or what is left below the limit of the process's control group.
  """
  devices = [d for d in devices if d.process_index == jax.process_index()]
  if devices[0].platform != 'cpu':
    return (devices[0].memory_stats() or {}).get('bytes_limit')
  found = [size for size in (_of_machine(), _of_group()) if size is not None]
  return min(found) // len(devices) if found else None


def _of_machine(path: str = '/proc/meminfo') -> int | None:
  """Returns the bytes of RAM and swap that are available on Linux."""
  try:
    sizes = _numbers(path)
    return 1024 * (sizes['MemAvailable:'] + sizes['SwapFree:'])
  except (OSError, ValueError, LookupError):
    return None


def _of_group(root: str = '/sys/fs/cgroup') -> int | None:
  """Returns the bytes left in the process's control group, or None.

  Cached files count as used, but the kernel drops them when memory is needed.
  """
  for limit, used, stat, files in (
      ('memory.max', 'memory.current', 'memory.stat', 'inactive_file'),
      ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes',
       'memory/memory.stat', 'total_inactive_file')):
    folder = pathlib.Path(root)
    try:
      left = int((folder / limit).read_text()) - int(
          (folder / used).read_text())
      return max(0, left + _numbers(folder / stat)[files])
    except (OSError, ValueError, LookupError):  # No group, or 'max': no limit.
      continue
  return None


def _numbers(path: str | os.PathLike[str]) -> dict[str, int]:
  """Returns the lines 'name number ...' of a file of the kernel."""
  lines = pathlib.Path(path).read_text().splitlines()
  return {name: int(number) for name, number, *_ in map(str.split, lines)}


def _gibibytes(size: int) -> str:
  return f'{size / 2**30:.3g}'
