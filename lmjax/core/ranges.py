"""Ranges of the numbers in configs, stated by the types of their fields.

  @dataclasses.dataclass(frozen=True)
  @ranges.checked
  class Sampling:
    temperature: ranges.NonNegative = 1.0
    top_p: ranges.PositiveShare | None = None
    top_k: Annotated[int, ranges.Range(1)] | None = None

A value outside its range is refused, however the config is made: by its
constructor, by `dataclasses.replace`, by flags or from JSON.
"""
from collections.abc import Callable, Iterator, Mapping
import dataclasses
import functools
import math
import numbers
import typing
from typing import Annotated, Any, TypeVar

from lmjax.core import errors

C = TypeVar('C', bound=type)


@dataclasses.dataclass(frozen=True)
class Range:
  """The finite numbers between two bounds.

  Attributes:
    low: The lower bound; None for no bound.
    high: The upper bound; None for no bound.
    above: Whether the lower bound itself is excluded.
    below: Whether the upper bound itself is excluded.
    note: A sentence for whoever gives a number outside the range.

  Example:
    >>> 1.0 in Range(0, 1, below=True), str(Range(0, 1, below=True))
    (False, 'at least 0 and below 1')
  """
  low: float | None = None
  high: float | None = None
  above: bool = False
  below: bool = False
  note: str = ''

  def __contains__(self, value: float) -> bool:
    if not math.isfinite(value):
      return False
    if self.low is not None and (
        value < self.low or self.above and value == self.low):
      return False
    return self.high is None or value < self.high or (
        value == self.high and not self.below)

  def __str__(self) -> str:
    bounds = []
    if self.low is not None:
      bounds.append(f'{"above" if self.above else "at least"} {self.low:,}')
    if self.high is not None:
      bounds.append(f'{"below" if self.below else "at most"} {self.high:,}')
    return ' and '.join(bounds) or 'a finite number'


Whole = Annotated[int, Range()]  # Any integer.
Natural = Annotated[int, Range(0)]
Count = Annotated[int, Range(1)]
# JAX keeps 32 bits of a seed: 2**32 would give the numbers of 0.
Seed = Annotated[int, Range(0, 2**32 - 1)]

Finite = Annotated[float, Range()]  # Any finite number.
NonNegative = Annotated[float, Range(0)]
Positive = Annotated[float, Range(0, above=True)]
Share = Annotated[float, Range(0, 1)]
Rate = Annotated[float, Range(0, 1, below=True)]  # A dropout or decay rate.
PositiveShare = Annotated[float, Range(0, 1, above=True)]
ProperShare = Annotated[float, Range(0, 1, above=True, below=True)]


def checked(cls: C) -> C:
  """Makes a class check the ranges of its fields before its `__post_init__`.

  The decorator stands below `dataclasses.dataclass`. Subclasses are checked
  too, unless they define `__post_init__` without calling the one above.

  Example:
    >>> @dataclasses.dataclass(frozen=True)
    ... @checked
    ... class Dropout:
    ...   rate: Rate = 0.1
    >>> Dropout(rate=1.0)
    Traceback (most recent call last):
    lmjax.core.errors.InputError: Dropout.rate should be at least 0 and below \
1; got 1.0.
  """
  inner = getattr(cls, '__post_init__', None)

  def __post_init__(self):
    name = type(self).__name__
    check(type(self), vars(self), lambda field: f'{name}.{field}')
    if inner is not None:
      inner(self)
  cls.__post_init__ = __post_init__
  return cls


def check(cls: type, values: Mapping[str, Any],
          name_of: Callable[[str], str]) -> None:
  """Checks that numbers are in the ranges of a dataclass's fields.

  Args:
    cls: The dataclass.
    values: {field: its value}, of some or all fields. Only numbers are checked,
      also those inside tuples.
    name_of: Function from a field to its name in messages.

  Raises:
    InputError: If a number is outside its range.
  """
  for field, hint in _hints(cls).items():
    found = of(hint)
    if found is None or field not in values:
      continue
    kind, allowed = found
    for value in _numbers(values[field]):
      if value in allowed and (kind is float or value == int(value)):
        continue
      whole = 'a whole number, ' if kind is int and value in allowed else ''
      off = ', or none' if type(None) in typing.get_args(hint) else ''
      note = f' {allowed.note}' if allowed.note else ''
      raise errors.InputError(
          f'{name_of(field)} should be {whole}{allowed}{off}; got {value}.'
          f'{note}')


def of(hint: Any) -> tuple[type, Range] | None:
  """Returns the kind of number and the range in a type, or None without one.

  Args:
    hint: The type of a field, as `typing.get_type_hints` returns it with
      extras; it contains at most one range, for all of its numbers.

  Example:
    >>> of(tuple[Natural, ...] | None)
    (<class 'int'>, Range(low=0, high=None, above=False, below=False, note=''))
  """
  if typing.get_origin(hint) is Annotated:
    kind, *extras = typing.get_args(hint)
    return next(((kind, extra) for extra in extras
                 if isinstance(extra, Range)), None)
  return next(filter(None, map(of, typing.get_args(hint))), None)


@functools.cache
def _hints(cls: type) -> dict[str, Any]:
  """Returns the types of a dataclass's fields, with their ranges."""
  found = typing.get_type_hints(cls, include_extras=True)
  return {field.name: found[field.name] for field in dataclasses.fields(cls)}


def _numbers(value: Any) -> Iterator[Any]:
  """Yields a value if it is a number, or the numbers inside a tuple."""
  if isinstance(value, tuple):
    for item in value:
      yield from _numbers(item)
  elif isinstance(value, numbers.Real) and not isinstance(value, bool):
    yield value
