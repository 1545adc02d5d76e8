"""Numbers of a config as arguments of a compiled program.

Rival readings that differ in numbers only, such as the base of the wavelengths,
then run the same program. `split` takes the numbers out of a config, and `join`
puts numbers or tracers in their places. The base and the scaling of rotary
positions together are one array: the frequencies, and how much they sharpen
attention.
"""
from collections.abc import Iterator
import copy
import dataclasses
from typing import Any

import jax
import numpy as np

from lmjax.interop.audit import attention as attention_lib
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import positions
from lmjax.nn import rotary

_SCALES = {  # Functions(part, width) that return what `scale` stands for.
    attention.AttentionConfig: lambda part, width: (
        part.scale or part.size(width) ** -0.5),
    **dict.fromkeys(
        (parts.Embed, parts.TypedEmbed, parts.Head, parts.TokenHead),
        lambda part, width: part.multiplier(width)),
}
_NAMES = ('theta', 'epsilon', 'scale', 'softcap', 'multiplier')


@dataclasses.dataclass(frozen=True, eq=False)
class _Turns:
  """A scaling of rotary positions whose results are given.

  Attributes:
    array: The frequencies, and the magnitude as the last number.
  """
  array: jax.Array

  def of_texts(self, theta, size, positions_BT):
    del theta, size, positions_BT
    return self.array[:-1]

  def magnitude(self):
    return self.array[-1]


def split(config: Any) -> tuple[Any, tuple[float | np.ndarray, ...]]:
  """Returns a config without its numbers, and the numbers.

  Configs that differ in these numbers only become equal. A default that stands
  for a number, such as `scale=None` of attention, counts as the number.
  """
  numbers, size = [], attention_lib.head_size(config)

  def take(part, field, value):
    number = _number(part, field, value, config.width, size)
    if number is None:
      return value
    numbers.append(number)
    return None if field == 'scaling' else 1.0
  return _mapped(config, take), tuple(numbers)


def join(config: Any, numbers: Iterator[Any]) -> Any:
  """Returns a config of `split` with other numbers, which may be tracers.

  Their ranges are not checked.
  """
  size = attention_lib.head_size(config)

  def put(part, field, value):
    if _number(part, field, value, config.width, size) is None:
      return value
    number = next(numbers)
    return _Turns(number) if field == 'scaling' else number
  return _mapped(config, put)


def _number(part, field, value, width, size):
  """Returns the numbers that a field stands for, or None if it is no argument.
  """
  if isinstance(part, positions.Rotary):
    if size is None or isinstance(part.scaling, rotary.LongRopeScaling):
      return None
    if field == 'scaling':  # With it, the program does not use `theta`.
      return _turns(part, int(size * part.fraction))
  if field not in _NAMES:
    return None
  if field == 'scale':
    of_part = _SCALES.get(type(part))  # Norms have a `scale` that is no number.
    return of_part and of_part(part, width)
  return value


def _turns(part, size):
  """Returns the frequencies of rotary positions, and their magnitude."""
  if part.scaling is None:
    return np.append(rotary.frequencies(part.theta, size), 1.0)
  return np.append(
      part.scaling.frequencies(part.theta, size), part.scaling.magnitude())


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
