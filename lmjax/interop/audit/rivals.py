"""Rival readings of a model: other configs under which its weights also run.

A config.json can be wrong in ways that no shape shows: another base of the
wavelengths, another activation, another order of heads. `of` lists the readings
that weights could have been meant for. Each part of a model has its own
function that changes one of its fields (`READINGS`); changes that also concern
the parameters, or several parts at once, are functions of the whole model
(`WHOLE`). A new part is audited as soon as it is in one of these tables.
"""
from collections.abc import Callable, Iterator, Mapping
import dataclasses
from typing import Any

from lmjax.core import layouts
from lmjax.interop.audit import attention
from lmjax.interop.audit import blocks
from lmjax.interop.audit import ends
from lmjax.interop.audit import layers
from lmjax.interop.audit import pattern
from lmjax.interop.audit import positions
from lmjax.models import cost

# {kind of part: function(part, model, length) that yields (field, new part)}.
READINGS: Mapping[type, Callable[..., Iterator[tuple[str, Any]]]] = {
    **positions.READINGS, **attention.READINGS, **layers.READINGS,
    **blocks.READINGS, **pattern.READINGS, **ends.READINGS,
}
# Functions(config, params) that yield (field, reading, config, params).
WHOLE = (*positions.WHOLE, *attention.WHOLE, *layers.WHOLE, *blocks.WHOLE,
         *ends.WHOLE)


@dataclasses.dataclass(frozen=True)
class Rival:
  """Another reading of the same weights.

  Attributes:
    field: The field of the model's config that is read differently, such as
      'positions.theta'; for parameters, the name of what is read, such as
      'mlp.gate'.
    what: The reading, such as '500000.0'.
    config: The model's config under this reading.
    params: The parameters under this reading, in the looped layout.
  """
  field: str
  what: str
  config: Any = dataclasses.field(repr=False)
  params: Any = dataclasses.field(repr=False)


def plain(config: Any, params: Any) -> tuple[Any, Any]:
  """Returns a model in float32 and in the looped layout, without remat.

  The readings of `of` need this form, in which each layer has its own names.
  """
  plainly = {'dtype': 'float32', 'scan': False, 'remat': 'none'}
  names = {field.name for field in dataclasses.fields(config)}
  return dataclasses.replace(config, **{
      name: value for name, value in plainly.items() if name in names
  }), layouts.looped(params)


def layers(config: Any) -> tuple[Any, ...]:
  """Returns what decides the names of a model's layers."""
  return tuple(getattr(config, name, None)
               for name in ('pattern', 'num_layers'))


def scanned(config: Any, params: Any, like: Any = None) -> tuple[Any, Any]:
  """Returns a model of `plain` with scanned layers, which compile faster.

  Args:
    config: The config.
    params: The parameters.
    like: The parameters of a model with the same pattern of layers, scanned, if
      there is one.
  """
  if not config.traits.blocks or getattr(config, 'shared_layers', False):
    return config, params
  config = dataclasses.replace(config, scan=True)
  return config, layouts.like(
      params, cost.shapes(config) if like is None else like)


def of(config: Any, params: Any, length: int) -> Iterator[Rival]:
  """Yields the rival readings of a model.

  A part that occurs several times in a config, such as the norm of all blocks,
  is changed everywhere at once, as one field of a config.json decides it.

  Args:
    config: The config of the model, as from `plain`.
    params: Its parameters, as from `plain`.
    length: Tokens of the longest row that is scored; readings that differ only
      on longer rows are left out.
  """
  seen = []
  for path, part in parts(config):
    if any(type(part) is type(other) and part == other for other in seen):
      continue
    seen.append(part)
    for field, changed in READINGS.get(type(part), _none)(part, config, length):
      what = type(changed).__name__
      if type(changed) is type(part):
        what = _shown(getattr(changed, field))
      yield Rival('.'.join(filter(None, (path, field))), what,
                  replaced(config, part, changed), params)
  for function in WHOLE:
    for field, what, changed, read in function(config, params):
      yield Rival(field, what, changed, read)


def _shown(value):
  """Returns a value in a few characters."""
  if isinstance(value, float):
    return f'{value:.6g}'
  if dataclasses.is_dataclass(value):
    numbers = (f'{name}={number:g}' for name, number in vars(value).items()
               if name in ('factor', 'theta'))
    return f'{type(value).__name__}({", ".join(numbers)})'
  return str(value)


def _none(part, config, length):
  """Yields nothing: the part has no fields that weights do not decide."""
  del part, config, length
  return iter(())


def parts(config: Any, path: str = '') -> Iterator[tuple[str, Any]]:
  """Yields (path, part) of all dataclasses inside a config, outermost first."""
  if isinstance(config, tuple):
    for number, each in enumerate(config):
      yield from parts(each, f'{path}.{number}')
  elif dataclasses.is_dataclass(config):
    yield path, config
    for field in dataclasses.fields(config):
      yield from parts(getattr(config, field.name),
                       f'{path}.{field.name}' if path else field.name)


def replaced(config: Any, part: Any, changed: Any) -> Any:
  """Returns a config in which all parts that equal `part` are `changed`.

  Example:
    >>> from lmjax.nn import block, layers
    >>> old, new = layers.RMSNorm(), layers.RMSNorm(epsilon=1e-5)
    >>> replaced(block.PreNorm(norm=old), old, new).norm
    RMSNorm(epsilon=1e-05, around_one=False, axes=1)
  """
  if type(config) is type(part) and config == part:
    return changed
  if isinstance(config, tuple):
    return tuple(replaced(each, part, changed) for each in config)
  if not dataclasses.is_dataclass(config):
    return config
  return dataclasses.replace(config, **{
      field.name: replaced(getattr(config, field.name), part, changed)
      for field in dataclasses.fields(config) if field.init})
