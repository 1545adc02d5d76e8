"""Checks that a config divides over a mesh, before anything is compiled."""
from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.core import placement
from lmjax.parallel import rows as rows_lib
from lmjax.parallel import sharding


def check(model: Any, sizes: Mapping[str, int], *, rows: int,
          microbatches: int = 1, length: int | None = None,
          sequence: str = 'ring') -> None:
  """Checks that a model and its batches divide over a mesh.

  Args:
    model: A model's config.
    sizes: The sizes of the mesh axes, from `sharding.parse`.
    rows: The number of rows of a batch.
    microbatches: The number of parts that a batch is cut into.
    length: The number of tokens of a row, or None if unknown.
    sequence: How attention reaches all tokens that devices divide.

  Raises:
    InputError: If a size does not divide; the message has the nearest size
      that does.
  """
  check_rows(rows, microbatches, sizes)
  check_tokens(length, sizes)
  check_counts(model, sizes)
  check_stages(model, sizes)
  if sequence == 'ulysses':
    check_exchange(model, sizes)


def check_rows(rows: int, microbatches: int, sizes: Mapping[str, int]) -> None:
  """Raises InputError unless a batch divides into microbatches and devices."""
  parts = microbatches * sharding.shards_of_batch(sizes)
  along = ' x '.join(f'{sizes[axis]} along {axis}'
                     for axis in sharding.LOGICAL['rows'] if sizes[axis] > 1)
  rows_lib.check(rows, parts, 'parts (' + ' x '.join(
      filter(None, (along, f'{microbatches} microbatches'))) + ')')


def check_tokens(length: int | None, sizes: Mapping[str, int]) -> None:
  """Raises InputError unless rows of `length` tokens divide over `sequence`."""
  parts = sizes['sequence']
  if length is not None and parts > 1 and length % (2 * parts):
    raise errors.InputError(
        f'Rows of {length} tokens do not divide over sequence:{parts}, where '
        f'each device takes two equal pieces; the nearest length that does is '
        f'{rows_lib.nearest(length, 2 * parts)}.')


# Fields of configs whose number has to divide over a mesh axis.
_COUNTED = {'num_heads': 'tensor', 'num_kv_heads': 'tensor',
            'num_experts': 'expert'}


def check_counts(model: Any, sizes: Mapping[str, int]) -> None:
  """Checks that whole heads and experts divide over their mesh axes.

  Args:
    model: A model's config; all configs in it are checked.
    sizes: The sizes of the mesh axes.

  Raises:
    InputError: If heads do not divide over the axis `tensor`, experts do not
      divide over the axis `expert`, or that axis is given and there are none.
  """
  has_experts = False
  for path, part in _parts(model, 'model'):
    fields = _fields(part)
    has_experts |= 'num_experts' in fields
    for name, axis in _COUNTED.items():
      count, parts = fields.get(name), sizes[axis]
      if count and count % parts:
        best = max(n for n in range(1, parts + 1) if count % n == 0)
        raise errors.InputError(
            f'{path}.{name} is {count}, which does not divide over {axis}:'
            f'{parts}; the nearest mesh that fits has {axis}:{best}, the '
            f'nearest {name} is {rows_lib.nearest(count, parts)}.')
  if sizes['expert'] > 1 and not has_experts:
    raise errors.InputError(
        f'expert:{sizes["expert"]} divides the experts of a mixture, but the '
        'model has none: set --config.model.block.mlp.kind=MixtureOfExperts, '
        'or use the axis data instead.')


def check_exchange(model: Any, sizes: Mapping[str, int]) -> None:
  """Checks that devices that divide tokens can exchange them for heads.

  Raises:
    InputError: If the heads on each device along `tensor` do not divide over
      `sequence`.
  """
  count, tensor = sizes['sequence'], sizes['tensor']
  for path, part in _parts(model, 'model'):
    fields = _fields(part)
    if 'num_heads' not in fields:
      continue
    heads = part.num_heads // tensor
    keys = (fields.get('num_kv_heads') or part.num_heads) // tensor
    able = [n for n in range(1, count + 1)
            if placement.exchangeable(heads, keys, n)]
    if count not in able:
      raise errors.InputError(
          f'With training.sequence=ulysses devices exchange tokens for heads, '
          f'but the {heads} query and {keys} key heads that {path} has on each '
          f'device along tensor do not divide over sequence:{count}; the '
          f'nearest mesh that fits has sequence:{able[-1]}. Or set '
          '--config.training.sequence=ring, which works with any heads.')


def check_stages(model: Any, sizes: Mapping[str, int]) -> None:
  """Checks that a model's layers can be divided into pipeline stages.

  Raises:
    InputError: If the layers are not scanned, do not form whole periods of a
      pattern, have a mixture of experts, or do not divide over `stage`.
  """
  stages, alike = sizes['stage'], model.traits.stages
  if stages == 1:
    return
  if not alike:
    raise errors.InputError(
        f'stage:{stages} divides scanned layers: choose a decoder or an '
        'encoder with --config.model.scan=True, whose layers do not share '
        'parameters and form whole periods of their pattern; got '
        f'{type(model).__name__} with scan={_fields(model).get("scan")} and '
        f'{model.num_layers} layers.')
  if model.traits.mixture is not None:
    raise errors.InputError(
        f'stage:{stages} cannot be combined with a mixture of experts, whose '
        'losses come from all layers at once; use expert, fsdp and tensor.')
  if alike % stages:
    best = max(n for n in range(1, stages + 1) if alike % n == 0)
    period = model.num_layers // alike
    nearest = rows_lib.nearest(model.num_layers, stages * period)
    periods = '' if period == 1 else f', in periods of {period},'
    raise errors.InputError(
        f'model.num_layers is {model.num_layers}, which{periods} does not '
        f'divide over stage:{stages}; the nearest mesh that fits has stage:'
        f'{best}, the nearest num_layers is {nearest}.')


def _parts(config: Any, path: str) -> Iterator[tuple[str, Any]]:
  """Yields (path, dataclass) for a config and all configs in it."""
  if isinstance(config, tuple):
    fields = {str(index): value for index, value in enumerate(config)}
  else:
    yield path, config
    fields = _fields(config)
  for name, value in fields.items():
    if dataclasses.is_dataclass(value) or isinstance(value, tuple):
      yield from _parts(value, f'{path}.{name}')


def _fields(config: Any) -> dict[str, Any]:
  return {field.name: getattr(config, field.name)
          for field in dataclasses.fields(config)}
