"""Compiles a run's training step for devices that this machine does not have.

The compilers for TPUs and NVIDIA GPUs need no device: given the kind and number
of devices, they compile the step and report the memory that it takes on each
device. The step is compiled with abstract arrays and the kernels of the target
platform, so the memory is exact where `estimate` only estimates it.
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
  """The memory of a compiled step on each device.

  Attributes:
    device: The kind of device.
    count: The number of devices.
    memory: Bytes on each device, by use.
    seconds: Time to compile, in seconds.
    text: The compiled program, from which `testing.exchanges` reads the
      communication of GPUs (programs for TPUs hide it in kernels).
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
  """Compiles a training step of a run.

  It must not be called in a process that trains on TPUs, because it sets
  environment variables that let the TPU compiler work without TPUs.

  Args:
    config: The run. If its model has no vocabulary size, the tokenizer's is
      used. Its objective has to read rows of text without a tokenizer.
    name: The name of the device, such as 'h100' or 'tpu-v5p'.
    sizes: The sizes of all mesh axes, from `sharding.parse`.

  Raises:
    InputError: If the compiler is not installed or does not know the device,
      sizes such as rows or heads do not divide, or the compiler stops because
      the step does not fit into memory, as the TPU compiler does.
  """
  device = devices_lib.named(name)
  config = prepared.sized(config)
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
        f'The step does not fit {name}, and its compiler has stopped: '
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
          f'{field} keeps arrays in host memory, which the GPU compiler counts '
          'as device memory if there is no GPU. Compile for a TPU, or set '
          f'--config.{field}=none.')


def _lying(tree, where):
  """Returns the shapes of a tree with their shardings."""
  return jax.tree.map(lambda x, where: jax.ShapeDtypeStruct(
      x.shape, x.dtype, sharding=where), tree, where)


@dataclasses.dataclass(frozen=True)
class _Gpu:
  """Facts about a GPU that its compiler needs, without memory and bandwidth.

  Attributes:
    capability: Compute capability, as (major, minor).
    cores: Number of multiprocessors.
    units: Number of float32 units per multiprocessor.
    shared: Bytes of shared memory per multiprocessor.
    cache: Bytes of the L2 cache.
    clock: Clock rate in GHz.
  """
  capability: tuple[int, int]
  cores: int
  units: int
  shared: int
  cache: int
  clock: float


# From NVIDIA's architecture white papers and the devices' own properties.
_HOPPER = _Gpu((9, 0), 132, 128, 228 * 1024, 50 * 2**20, 1.98)
_AMPERE = _Gpu((8, 0), 108, 64, 164 * 1024, 40 * 2**20, 1.41)
_GPUS = {
    'b200': _Gpu((10, 0), 148, 128, 228 * 1024, 132644864, 1.965),
    'h200': _HOPPER, 'h100': _HOPPER, 'a100-80': _AMPERE, 'a100-40': _AMPERE}
# The compiler's name of each device, and the number of axes of its slices.
_TPUS = {'tpu-v5e': ('v5e', 2), 'tpu-v5p': ('v5p', 3), 'tpu-v6e': ('v6e', 2)}


def _devices(name, count):
  """Returns the platform and `count` abstract devices of it."""
  if name in _TPUS:
    return 'tpu', _asked('tpu', _slice(*_TPUS[name], count))[:count]
  if name in _GPUS:
    island = devices_lib.DEVICES[name].island
    return 'gpu', _asked(
        'cuda', name, target_config=_target(name),
        topology=f'1x{-(-count // island)}x{min(count, island)}')[:count]
  raise errors.InputError(
      f'--compile needs a {name} to compile for it; without one, it works for '
      f'{", ".join((*_GPUS, *_TPUS))}. Omit --compile to estimate instead.')


def _asked(platform, name, **options):
  # Without these, libtpu would query the metadata server for the TPUs.
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
        f"pip install '.[{platform}]' installs it; no devices are needed. Its "
        f'error: {str(error).splitlines()[0]}') from error


def _slice(kind, axes, count):
  """Returns the smallest slice with `count` TPUs, doubling its axes in turn."""
  sides = [2, 2, 1][:axes]
  while math.prod(sides) < count:
    sides[sides.index(min(sides))] *= 2
    sides.sort()
  return f'{kind}:{"x".join(map(str, sides))}'


def _target(name):
  """Returns XLA's target config of a GPU, as text."""
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
  """Prints the memory of a compiled step.

  Args:
    found: The compiled step.
    name: The name of its device.
    console: The console to print to; None prints to stdout.
  """
  console = console or rich.console.Console()
  estimate.show_memory(
      f'{name}, each of {found.count}', found.memory, found.device,
      console)
  console.print(
      f'Compiled by JAX {jax.__version__} in {found.seconds:.0f} s, with the '
      "kernels of the platform. XLA's reserve and fragmentation are not "
      'included.', highlight=False, soft_wrap=True)
