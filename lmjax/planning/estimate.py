"""Estimates whether a run fits a machine, and how fast it could be there.

The estimate uses only shapes: no array is created and nothing is compiled. (For
the memory that a compiler reports, see `compiled`.) Times are bounds from data
sheets, not forecasts.

Memory is estimated for an accelerator. The tests compare it with XLA's figures
on a CPU. For this they let attention in bfloat16 write its logits, which a
kernel would not do. Products of bfloat16 that XLA computes in float32 on a CPU
are not part of the estimate.
"""
from collections.abc import Mapping
import dataclasses
import functools
import math
from typing import Any

import jax
import rich.console
import rich.table

from lmjax.core import errors
from lmjax.core import layouts
from lmjax.core import trees
from lmjax import experiment
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.nn import attend as attend_lib
from lmjax.nn.distributed import divided
from lmjax.nn.distributed import ring
from lmjax.nn import pattern as pattern_lib
from lmjax.parallel import devices
from lmjax.parallel import divisions
from lmjax.parallel import sharding
from lmjax.planning import program
from lmjax.recipes import prepared


@dataclasses.dataclass(frozen=True)
class Plan:
  """The memory, work and time of a training step, per device unless stated.

  Attributes:
    device: The kind of device.
    sizes: The sizes of the mesh axes.
    tokens: Tokens of a step, on all devices.
    model_flops: FLOPs of a step on all devices, without recomputation.
    memory: Bytes held, by use.
    flops: FLOPs of matrix products.
    traffic: Bytes read from and written to memory.
    sent: Bytes sent, by mesh axis.
    speeds: Bytes per second of the links, by mesh axis.
    peak: Peak FLOP/s of the device in the model's dtype.
  """
  device: devices.Device
  sizes: Mapping[str, int]
  tokens: int
  model_flops: float
  memory: Mapping[str, float]
  flops: float
  traffic: float
  sent: Mapping[str, float]
  speeds: Mapping[str, float]
  peak: float

  @property
  def total(self) -> float:
    return sum(self.memory.values())

  @property
  def fits(self) -> bool:
    return self.total <= self.device.memory

  @property
  def seconds(self) -> dict[str, float]:
    """The seconds of each kind of work at its peak rate."""
    return {'products': self.flops / self.peak,
            'memory': self.traffic / self.device.bandwidth,
            'exchange': sum(bytes_ / self.speeds[axis]
                            for axis, bytes_ in self.sent.items())}

  @property
  def best(self) -> float:
    """The seconds of a step if all kinds of work overlap fully."""
    return max(self.seconds.values())

  @property
  def worst(self) -> float:
    """The seconds of a step if the kinds of work do not overlap at all."""
    return sum(self.seconds.values())


def plan(config: experiment.Pretrain, device: devices.Device,
         sizes: Mapping[str, int]) -> Plan:
  """Estimates a training step of a run.

  Args:
    config: The run; if its model has no vocabulary size, the tokenizer's is
      used.
    device: The kind of device.
    sizes: The sizes of the mesh axes, from `sharding.parse`.

  Raises:
    InputError: If sizes such as rows or heads do not divide, or the kind of
      model, objective or mesh is not supported.
  """
  config = prepared.sized(config)
  _check(config, sizes)
  training, model = config.training, config.model
  length = config.data.length or model.context
  divisions.check_tokens(length, sizes)
  local_length = length // sizes['sequence']
  rows = _rows(config, sizes)
  state, _ = prepared.state_shapes(config)
  params, state = state.params, state.replace(rng=None)
  held = _bytes_per_device(state, sizes)
  of_params = {path: held[f'params/{path}'] for path, _ in trees.items(params)}

  local = _share(model, sizes['tensor'])
  attend = attend_lib.plain if model.dtype == 'float32' else _kernel
  if sizes['sequence'] > 1:
    attend = functools.partial(divided.balanced, ring.Ring('sequence'))
  objective = config.objective.build(local.build(attend=attend))
  once = program.cost(
      jax.grad(lambda params, batch: objective(params, batch)['loss'].total),
      cost.shapes(local), prepared.batch_shapes(rows, local_length),
      held=_divided(cost.shapes(local), of_params),
      axes={'sequence': sizes['sequence']})
  gradients = sum(of_params.values())
  at_rest = sum(held.values())
  memory = {
      'parameters': gradients, 'optimizer': at_rest - gradients,
      'gradients': gradients * min(2, training.microbatches),
      'activations': max(0.0, once.peak - gradients)}
  if sizes['fsdp'] > 1:
    memory['gathered'] = _gathered(cost.shapes(local))
  plain = config.objective.build(model.build(attend=attend_lib.plain))
  return Plan(
      device, sizes, config.data.batch_size * length,
      cost.training_flops(plain, params, prepared.batch_shapes(1, length))
      * config.data.batch_size, memory,
      flops=training.microbatches * once.flops,
      # The update reads and writes the state and reads the gradients.
      traffic=training.microbatches * once.traffic + 2 * at_rest + gradients,
      sent=_sent(config, local, params, sizes, rows * local_length),
      speeds=_speeds(device, sizes),
      peak=device.float32 if model.dtype == 'float32' else device.bfloat16)


def _check(config, sizes):
  mixture = config.model.traits.mixture
  if mixture is not None:
    raise errors.InputError(
        f'A plan supports only dense MLPs; got {type(mixture).__name__}.')
  host = 'A plan covers the memory of devices, not of hosts; '
  if config.training.offload != 'none':
    raise errors.InputError(
        f'{host}plan this with --config.training.offload=none. With offload, a '
        'device holds, at best, only the larger of optimizer and activations.')
  if config.model.traits.offloads:
    raise errors.InputError(
        f'{host}plan this with --config.model.remat=dots, which keeps the same '
        'arrays on the device.')
  unknown = [axis for axis in ('stage', 'expert') if sizes[axis] > 1]
  if unknown:
    raise errors.InputError(
        f'A plan supports the axes data, fsdp, sequence and tensor, not '
        f'{" and ".join(unknown)}; --dry_run on a machine with the devices '
        'prints the memory of a device.')
  if sizes['sequence'] > 1 and config.training.sequence != 'ring':
    raise errors.InputError(
        'A plan over the axis sequence supports rings; got training.sequence = '
        f'{config.training.sequence}. Use --compile to ask the compiler.')
  for axis in 'sequence', 'tensor':
    if sizes[axis] > 1:
      _check_attends(config.model, axis)


def _check_attends(model, axis):
  # The work and messages of a device are computed from a decoder's fields.
  if not isinstance(model, decoder.DecoderConfig) or not model.traits.attends:
    raise errors.InputError(
        f'A plan over the axis {axis} supports decoders with attention; got '
        f'{type(model).__name__}. Plan it with data and fsdp.')


def _rows(config, sizes):
  """Returns the number of rows that a device processes at once."""
  parts = sharding.shards_of_batch(sizes) * config.training.microbatches
  if config.data.batch_size % parts:
    nearest = max(1, round(config.data.batch_size / parts)) * parts
    raise errors.InputError(
        f'data.batch_size = {config.data.batch_size} does not divide by data x '
        f'fsdp x microbatches = {parts}; the nearest that does is {nearest}.')
  return config.data.batch_size // parts


def _bytes_per_device(tree: Any, sizes: Mapping[str, int]) -> dict[str, float]:
  """Returns the bytes of each array that a device holds, by path."""
  cuts = sharding.specs(tree, sizes)
  return {path: math.prod(leaf.shape) * leaf.dtype.itemsize / math.prod(
      sizes[axis] for axis in cuts[path] if axis)
          for path, leaf in trees.items(tree)}


def _divided(params, held):
  """Returns the bytes of gradients, by shape; they are divided like parameters.
  """
  return {(leaf.shape, leaf.dtype): held[path]
          for path, leaf in trees.items(params)}


def _share(model, tensor):
  """Returns the config of the part that one device along `tensor` computes."""
  if tensor == 1:
    return model
  vocab = model.vocab_size
  return dataclasses.replace(
      pattern_lib.with_blocks(
          model, lambda block: _share_of_block(block, tensor, model.width)),
      vocab_size=vocab if vocab % tensor else vocab // tensor)


def _share_of_block(block, tensor, width):
  """Returns the config of one device's part of a block."""
  mixer, mlp = block.mixer, block.mlp
  for name, count in (('mixer.num_heads', mixer.num_heads),
                      ('mixer.num_kv_heads', mixer.kv_heads),
                      ('mlp.hidden', mlp.hidden)):
    if count % tensor:
      fitting = max(n for n in range(1, tensor) if count % n == 0)
      raise errors.InputError(
          f'{name} = {count} does not divide over tensor:{tensor}; the nearest '
          f'smaller size that does is tensor:{fitting}.')
  return dataclasses.replace(
      block, mlp=dataclasses.replace(mlp, hidden=mlp.hidden // tensor),
      mixer=dataclasses.replace(
          mixer, num_heads=mixer.num_heads // tensor,
          num_kv_heads=mixer.kv_heads // tensor, head_size=mixer.size(width)))


def _kernel(q_BTNH, k_BSKH, v_BSKH, mask, *, bias_BNTS=None, dropout=0.0,
            dropout_rng=None, **options):
  """Attends like a GPU or TPU kernel, which does not write T x S logits."""
  if bias_BNTS is not None or (dropout and dropout_rng is not None):
    return attend_lib.plain(
        q_BTNH, k_BSKH, v_BSKH, mask, bias_BNTS=bias_BNTS, dropout=dropout,
        dropout_rng=dropout_rng, **options)
  run = program.fused(lambda operands, mask: attend_lib.plain(
      *operands, mask, **options))
  return run((q_BTNH, k_BSKH, v_BSKH), mask)


def _gathered(params):
  """Returns the bytes of two whole layers: the current and the next one."""
  groups = {}
  for path, leaf in trees.items(params):
    stacked = layouts.stacked(path)
    name = stacked or path.partition('/')[0]
    size = math.prod(leaf.shape[1:] if stacked else leaf.shape)
    groups[name] = groups.get(name, 0) + size * leaf.dtype.itemsize
  return 2.0 * max(groups.values())


def _sent(config, local, params, sizes, tokens):
  """Returns the bytes that a device sends in a step, by mesh axis.

  Collectives use a ring: each of n devices sends (n - 1) / n of the bytes of an
  array that is gathered or scattered, and twice as much if it is summed. In
  every microbatch, parameters are gathered along fsdp in the forward and the
  backward pass and gradients are scattered, and gradients are summed along data
  and sequence. Along tensor, two arrays of activations per block are summed in
  the forward and the backward pass, and one more if blocks are recomputed.
  Along sequence, keys and values are also sent: see `_round`.
  """
  repeats = config.training.microbatches
  others = lambda axis: (sizes[axis] - 1) / sizes[axis]
  cuts, sent = sharding.specs(params, sizes), dict.fromkeys(sizes, 0.0)
  for path, leaf in trees.items(params):
    size = math.prod(leaf.shape) * leaf.dtype.itemsize
    size /= math.prod(sizes[a] for a in cuts[path] if a and a != 'fsdp')
    if 'fsdp' in cuts[path]:
      sent['fsdp'] += 3 * repeats * others('fsdp') * size
      size /= sizes['fsdp']
    else:
      sent['fsdp'] += 2 * others('fsdp') * size
    for axis in 'data', 'sequence':
      sent[axis] += 2 * repeats * others(axis) * size
  width = 4 if local.dtype == 'float32' else 2
  if sizes['sequence'] > 1:
    sent['sequence'] += repeats * sum(
        _round(layer.block.mixer, local, sizes['sequence'], tokens, width)
        for layer in local.arrangement.layers)
  if sizes['tensor'] > 1:
    sums = 4 + (local.remat == 'full')
    sent['tensor'] = 2 * others('tensor') * repeats * (
        (sums * local.num_layers + 2) * tokens * local.width * width)
  return {axis: size for axis, size in sent.items() if size}


def _round(mixer, model, devices, tokens, width):
  """Returns the bytes that a device sends in a layer's attention over a ring.

  In the forward pass, keys and values are sent to all other devices. In the
  backward pass they are sent again, and their gradients return in float32.
  Before and after each pass, tokens are exchanged so that devices have equal
  work.
  """
  heads = mixer.size(model.width) * tokens
  keys, queries = 2 * mixer.kv_heads * heads, mixer.num_heads * heads
  passes = 2 + (model.remat == 'full')
  dealt = 0.5 if devices == 2 else 1  # Two devices each keep one half.
  return ((devices - 1) * passes * keys * width + devices * keys * 4
          + dealt * passes * (2 * queries + keys) * width)


def _speeds(device, sizes):
  """Returns the bytes per second along each axis; the last is the nearest."""
  speeds, span = {}, 1
  for axis in reversed(sharding.AXES):
    span *= sizes[axis]
    speeds[axis] = device.link if span <= device.island else device.network
  return speeds


def show(found: Plan, name: str,
         console: rich.console.Console | None = None) -> None:
  """Prints a plan.

  Args:
    found: The plan.
    name: The name of its device.
    console: The console to print to; None prints to stdout.
  """
  console = console or rich.console.Console()
  count = math.prod(found.sizes.values())
  show_memory(f'{name}, each of {count}', found.memory, found.device, console)
  say = lambda text: console.print(text, highlight=False, soft_wrap=True)
  say(f'{found.flops / 1e12:,.2f} TFLOPs of products per step and device, '
      f'{found.model_flops / count / 1e12:,.2f} without recomputation; '
      f'{found.traffic / 1e9:,.1f} GB of memory traffic.')
  for axis, size in found.sent.items():
    say(f'{size / 1e9:,.2f} GB sent along {axis}, at '
        f'{found.speeds[axis] / 1e9:,.0f} GB/s.')
  say('Seconds per step: ' + ', '.join(
      f'{kind} {value:.4f}' for kind, value in found.seconds.items()) + '.')
  say(f'At best {found.best:.4f} s per step if all work overlaps, '
      f'{found.tokens / found.best:,.0f} tokens per second and '
      f'{found.model_flops / count / found.best / found.peak:.0%} of the peak; '
      f'{found.worst:.4f} s if no work overlaps.')
  say(f'Source of the device\'s figures: {found.device.source}.')


def show_memory(title: str, memory: Mapping[str, float],
                device: devices.Device, console: rich.console.Console) -> None:
  """Prints the memory of a device by use, and whether it fits."""
  total = sum(memory.values())
  table = rich.table.Table(title=title, title_justify='left')
  table.add_column('of')
  table.add_column('GiB', justify='right')
  for part, size in memory.items():
    table.add_row(part, f'{size / 2**30:,.2f}')
  table.add_row('all', f'{total / 2**30:,.2f}', style='bold')
  table.add_row('there is', f'{device.memory / 2**30:,.2f}')
  console.print(table)
  console.print(
      f'It {"fits" if total <= device.memory else "does not fit"}: '
      f'{total / device.memory:.0%} of the memory.', highlight=False,
      soft_wrap=True)
