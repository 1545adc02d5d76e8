"""Numbers of a config as arguments of a compiled program.

Rival readings that differ in numbers only, such as the base of the wavelengths,
then run the same program. `split` takes the numbers out of a config, and `join`
puts numbers or tracers in their places.
"""
from collections.abc import Iterator
import copy
import dataclasses
from typing import Any

from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import positions

_SCALES = {  # Functions(part, width) that return what `scale` stands for.
    attention.AttentionConfig: lambda part, width: (
        part.scale or part.size(width) ** -0.5),
    **dict.fromkeys(
        (parts.Embed, parts.TypedEmbed, parts.Head, parts.TokenHead),
        lambda part, width: part.multiplier(width)),
}
_NAMES = ('theta', 'epsilon', 'scale', 'softcap', 'multiplier')


def split(config: Any) -> tuple[Any, tuple[float, ...]]:
  """Returns a config without its numbers, and the numbers.

  Configs that differ in these numbers only become equal. A default that stands
  for a number, such as `scale=None` of attention, counts as the number.
  """
  numbers = []

  def take(part, field, value):
    number = _number(part, field, value, config.width)
    if number is None:
      return value
    numbers.append(number)
    return 1.0
  return _mapped(config, take), tuple(numbers)


def join(config: Any, numbers: Iterator[Any]) -> Any:
  """Returns a config of `split` with other numbers, which may be tracers.

  Their ranges are not checked.
  """
  return _mapped(config, lambda part, field, value: next(numbers) if (
      _number(part, field, value, config.width) is not None) else value)


def _number(part, field, value, width):
  """Returns the number that a field stands for, or None if it is no argument.
  """
  if field not in _NAMES or isinstance(part, positions.Rotary) and part.scaling:
    return None  # Scalings are computed with NumPy.
  if field == 'scale':
    of_part = _SCALES.get(type(part))  # Norms have a `scale` that is no number.
    return of_part and of_part(part, width)
  return value


def _mapped(config, function):
  """Returns a config with `function(part, field, value)` in all its fields."""
  if isinstance(config, tuple):
    return tuple(_mapped(each, function) for each in config)
  if not dataclasses.is_dataclass(config):
    return config
  changed = copy.copy(config)
  for field in dataclasses.fields(config):
    value = getattr(config, field.name)
    # Past the checks of the class, which cannot compare tracers.
    object.__setattr__(changed, field.name, function(
        config, field.name, _mapped(value, function)))
  return changed
