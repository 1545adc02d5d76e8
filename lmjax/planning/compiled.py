"""A run's training step, compiled for devices that are not there.

The compilers of TPUs and of NVIDIA's GPUs need no device: told what kind and
how many, they compile the step as they would there, and say what memory each
device has to hold. That is the step itself, on abstract arrays, with the
kernels of its platform: what `estimate` estimates, known.
"""
from collections.abc import Callable, Mapping
import dataclasses
import functools
import math
import os
import time

import jax
from jax.experimental import topologies
import rich.console

from lmjax.core import errors
from lmjax import experiment
from lmjax.nn import attend
from lmjax.parallel import devices as devices_lib
from lmjax.parallel import divisions
from lmjax.parallel import mesh as mesh_lib
from lmjax.planning import estimate
from lmjax.recipes import prepared
from lmjax.training import step as step_lib


@dataclasses.dataclass(frozen=True)
class Compiled:
  """What a compiled step holds on each device.

  Attributes:
    device: Which device.
    count: How many.
    memory: Bytes, by what they are.
    seconds: That it took to compile.
    text: The compiled program, in which `testing.exchanges` reads what GPUs
      exchange (those of TPUs hide it in kernels).
  """
  device: devices_lib.Device
  count: int
  memory: Mapping[str, int]
  seconds: float
  text: str = dataclasses.field(repr=False)

  @property
  def total(self) -> int:
    return sum(self.memory.values())


def compile_step(config: experiment.Pretrain, name: str,
                 sizes: Mapping[str, int]) -> Compiled:
  """Compiles a step of a run.

  Not for a process that trains on TPUs itself: TPUs' compiler is told, by the
  environment, that there are none.

  Args:
    config: The run; its model's vocabulary has to be a number, its objective
      one that reads rows of text and needs no tokenizer.
    name: Of the device, such as 'h100' or 'tpu-v5p'.
    sizes: Of the axes of the mesh, from `sharding.parse`; all kinds.

  Raises:
    InputError: If the compiler is not installed or does not know the device,
      rows, heads or the like do not divide, or the step does not fit and the
      compiler stops for that, as that of TPUs does.
  """
  device = devices_lib.named(name)
  prepared.check_sized(config)
  training, length = config.training, config.data.length or config.model.context
  divisions.check(config.model, sizes, rows=config.data.batch_size,
                  microbatches=training.microbatches, length=length,
                  sequence=training.sequence)
  platform, found = _devices(name, math.prod(sizes.values()))
  _check_offload(config, platform)
  strategy = mesh_lib.Mesh(
      found, ','.join(f'{axis}:{size}' for axis, size in sizes.items()),
      offload=training.offload == 'optimizer', sequence=training.sequence)
  lowered = lower(config, strategy, functools.partial(
      attend.best, platform=platform))
  begun = time.monotonic()
  try:
    compiled = lowered.compile()
  except jax.errors.JaxRuntimeError as error:
    if 'RESOURCE_EXHAUSTED' not in str(error):
      raise
    raise errors.InputError(
        f'The step does not fit {name}, says its compiler, which then stops: '
        f'{str(error).splitlines()[0]} Divide it over more devices, or set '
        '--config.model.remat=full or more --config.training.microbatches.'
    ) from error
  seconds, held = time.monotonic() - begun, compiled.memory_analysis()
  return Compiled(
      device, len(found), {
          'state and batch': held.argument_size_in_bytes,
          'all else': (held.temp_size_in_bytes + held.output_size_in_bytes
                       - held.alias_size_in_bytes)},
      seconds, compiled.as_text())


def lower(config: experiment.Pretrain, strategy: mesh_lib.Mesh,
          attend_by: Callable[..., jax.Array]) -> jax.stages.Lowered:
  """Returns the step of a run on a mesh, lowered on shapes."""
  training, length = config.training, config.data.length or config.model.context
  state, optimizer = prepared.state_shapes(config)
  objective = config.objective.build(config.model.build(attend=attend_by))
  step = strategy.compile(functools.partial(
      step_lib.train_step, objective=objective, optimizer=optimizer,
      ema_decay=training.ema_decay, guard=training.guard),
      training.microbatches)
  batch = prepared.batch_shapes(config.data.batch_size, length)
  return step.lower(
      _lying(state, strategy.shardings(state)),
      _lying(batch, {key: strategy.of_batch(x.shape)
                     for key, x in batch.items()}))


def _check_offload(config, platform):
  waits = {'training.offload': config.training.offload == 'optimizer',
           'model.remat': config.model.traits.offloads}
  for field, found in waits.items():
    if found and platform == 'gpu':
      raise errors.InputError(
          f'{field} keeps arrays in the memory of the host, which a GPU that '
          'is not there does not tell from its own. Compile for a TPU, or set '
          f'--config.{field}=none.')


def _lying(tree, where):
  """Returns shapes that say where they lie."""
  return jax.tree.map(lambda x, where: jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=where), tree, where)


@dataclasses.dataclass(frozen=True)
class _Gpu:
  """What a compiler is told of a GPU, beside memory and bandwidth.

  Attributes:
    capability: Compute capability, major and minor.
    cores: Multiprocessors.
    units: float32 units of each.
    shared: Bytes of shared memory of each.
    cache: Bytes of the second-level cache.
    clock: GHz.
  """
  capability: tuple[int, int]
  cores: int
  units: int
  shared: int
  cache: int
  clock: float


# NVIDIA's architecture white papers, and what the devices say of themselves.
_HOPPER = _Gpu((9, 0), 132, 128, 228 * 1024, 50 * 2**20, 1.98)
_AMPERE = _Gpu((8, 0), 108, 64, 164 * 1024, 40 * 2**20, 1.41)
_GPUS = {
    'b200': _Gpu((10, 0), 148, 128, 228 * 1024, 132644864, 1.965),
    'h200': _HOPPER, 'h100': _HOPPER, 'a100-80': _AMPERE, 'a100-40': _AMPERE}
# How the compiler calls them, and whether slices of them have 2 or 3 axes.
_TPUS = {'tpu-v5e': ('v5e', 2), 'tpu-v5p': ('v5p', 3), 'tpu-v6e': ('v6e', 2)}


def _devices(name, count):
  """Returns the platform, and so many of its devices that are not there."""
  if name in _TPUS:
    return 'tpu', _asked('tpu', _slice(*_TPUS[name], count))[:count]
  if name in _GPUS:
    island = devices_lib.DEVICES[name].island
    return 'gpu', _asked(
        'cuda', name, target_config=_target(name),
        topology=f'1x{-(-count // island)}x{min(count, island)}')[:count]
  raise errors.InputError(
      f'No compiler is known that needs no {name} to compile for it; it is '
      f'known of {", ".join((*_GPUS, *_TPUS))}. Without --compile, a plan '
      'estimates.')


def _asked(platform, name, **options):
  # Of a machine without TPUs there is nothing to be asked over the network.
  for key, value in (
      ('TPU_SKIP_MDS_QUERY', '1'), ('TPU_ACCELERATOR_TYPE', 'v5litepod-4'),
      ('TPU_WORKER_ID', '0'), ('TPU_WORKER_HOSTNAMES', 'localhost'),
      ('ALLOW_MULTIPLE_LIBTPU_LOAD', '1')):
    os.environ.setdefault(key, value)
  try:
    return list(topologies.get_topology_desc(
        name, platform, **options).devices)
  except (RuntimeError, ValueError) as error:
    raise errors.InputError(
        f'The compiler of {platform} was not found or does not know {name}: '
        f"pip install '.[{platform}]' installs it, devices are not needed. It "
        f'said: {str(error).splitlines()[0]}') from error


def _slice(kind, axes, count):
  """Returns the smallest slice with so many TPUs: its axes double in turn."""
  sides = [2, 2, 1][:axes]
  while math.prod(sides) < count:
    sides[sides.index(min(sides))] *= 2
    sides.sort()
  return f'{kind}:{"x".join(map(str, sides))}'


def _target(name):
  """Returns what XLA calls a target config, as text."""
  gpu, device = _GPUS[name], devices_lib.DEVICES[name]
  major, minor = gpu.capability
  return f"""
      platform_name: "CUDA"
      dnn_version_info {{ major: 9 minor: 8 }}
      gpu_device_info {{
        threads_per_block_limit: 1024 threads_per_warp: 32
        threads_per_core_limit: 2048 core_count: {gpu.cores}
        fpus_per_core: {gpu.units} shared_memory_per_block: 49152
        shared_memory_per_core: {gpu.shared}
        shared_memory_per_block_optin: {gpu.shared - 1024}
        block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
        block_dim_limit_z: 65535 registers_per_core_limit: 65536
        registers_per_block_limit: 65536 l2_cache_size: {gpu.cache}
        clock_rate_ghz: {gpu.clock}
        memory_bandwidth: {int(device.bandwidth)}
        device_memory_size: {int(device.memory)}
        cuda_compute_capability {{ major: {major} minor: {minor} }} }}
      """


def show(found: Compiled, name: str,
         console: rich.console.Console | None = None) -> None:
  """Prints what a compiled step holds.

  Args:
    found: It.
    name: Of its device.
    console: Where to print.
  """
  console = console or rich.console.Console()
  estimate.show_memory(
      f'{name}, each of {found.count}', found.memory, found.device,
      console)
  console.print(
      f'Compiled by JAX {jax.__version__} in {found.seconds:.0f} s, with the '
      'kernels of the platform. What XLA keeps in reserve while it runs, and '
      'fragments, come on top.', highlight=False, soft_wrap=True)
