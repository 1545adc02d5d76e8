"""Values of config fields as text, in the form that flags use."""
import ast
from collections.abc import Sequence
import decimal
import json
import math
from typing import Any

from lmjax.core import config as config_lib
from lmjax.core import errors

_BOOLS = {'true': True, '1': True, 'false': False, '0': False}
_NONE = 'none', 'null'  # In any case: also Python's None and JSON's null.
_DIGITS = 30  # A longer whole number, such as 1e300, must be a mistake.


def is_none(text: str) -> bool:
  """Returns whether a text stands for None where a field is optional."""
  return text.lower() in _NONE


def parse(text: str, hint: Any, name: str) -> Any:
  """Returns the value of a flag's text as a field's type.

  For an optional field `none`, `None` and `null` are None, and such a text
  itself is written in quotes: `"none"`. A list is written with commas, or as
  JSON or a Python tuple if an item contains a comma: `a.txt,b.txt`,
  `["a, b.txt"]`; an empty text is an empty list. Whole numbers may be
  written `1e6` or `1_000_000`, and booleans `true`, `false`, `1` or `0`.

  Args:
    text: The text that the user wrote.
    hint: The type of the field.
    name: The name of the field in messages.

  Raises:
    InputError: If the text is not a value of this type.

  Example:
    >>> parse('1e6', int | None, 'steps'), parse('a,b', tuple[str, ...], 'x')
    (1000000, ('a', 'b'))
  """
  admitted = config_lib.members(hint)
  for choice in config_lib.choices(hint):
    if text == str(choice):
      return choice
  if is_none(text) and config_lib.optional(hint):
    return None
  if bool in admitted and text.lower() in _BOOLS:
    return _BOOLS[text.lower()]
  for kind, read in ((int, _int), (float, _float)):
    if kind in admitted and (number := read(text)) is not None:
      return number
  structure = _structure(text)
  if config_lib.tuple_of(hint) and isinstance(structure, (list, tuple)):
    return config_lib.freeze(hint, _spelled(structure, hint), name)
  if config_lib.kinds(hint) and isinstance(structure, dict):
    return config_lib.freeze(hint, structure, name)
  if config_lib.tuple_of(hint):
    return _listed(text, config_lib.tuple_of(hint), name)
  if str in admitted:
    quoted = config_lib.optional(hint) and isinstance(structure, str)
    return structure if quoted else text
  raise errors.InputError(_refusal(text, hint, name))


def text(value: Any, hint: Any = None) -> str:
  """Returns the text of a value, from which `parse` returns the value."""
  if value is None:
    return 'none'
  if isinstance(value, bool):
    return str(value).lower()
  if isinstance(value, float):
    return repr(value)
  if isinstance(value, str):
    odd = config_lib.optional(hint) and (
        is_none(value) or isinstance(_structure(value), str))
    return json.dumps(value) if odd else value
  if isinstance(value, tuple):
    plain = value and all(isinstance(v, (str, int, float)) for v in value)
    listed = ','.join(text(v) for v in value) if plain else ''
    bare = listed and listed.count(',') == len(value) - 1 and (
        listed[0] not in '[(' and not is_none(listed))
    return listed if bare else json.dumps(config_lib.to_dict(value))
  if isinstance(value, int):
    return str(value)
  return json.dumps(config_lib.to_dict(value))


def _int(text: str) -> int | None:
  try:
    number = decimal.Decimal(text)
  except decimal.InvalidOperation:
    return None
  if not number.is_finite() or number.adjusted() > _DIGITS:
    return None
  return int(number) if number == number.to_integral_value() else None


def _float(text: str) -> float | None:
  try:
    number = float(text)
  except ValueError:
    return None
  return number if math.isfinite(number) else None


def _structure(text: str) -> Any:
  """Returns the list, tuple, object or quoted text that a text spells, or None.
  """
  if text[:1] not in tuple('[{("'):
    return None
  try:
    return json.loads(text)
  except ValueError:
    pass
  if text[0] not in '[(':
    return None
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError, MemoryError, RecursionError):
    return None


def _spelled(items: Sequence[Any], hint: Any) -> Sequence[Any]:
  """Returns a list with its whole numbers as text, if it is a list of text.

  So [3] is the list that 3 and ["3"] are.
  """
  item, *_ = config_lib.item_hints(config_lib.tuple_of(hint), 1)
  if item is not str:
    return items
  return [str(each) if type(each) is int else each for each in items]


def _listed(text: str, hint: Any, name: str) -> tuple[Any, ...]:
  """Returns the items of a list written with commas."""
  items = text.split(',') if text else []
  wanted = config_lib.item_hints(hint, len(items))
  if len(wanted) != len(items):
    raise errors.InputError(
        f'{name} should be {len(wanted)} values separated by commas; got '
        f'{text!r}.')
  if any(config_lib.kinds(item) or config_lib.tuple_of(item)
         for item in wanted):
    raise errors.InputError(
        f'{name} should be a list of lists or of parts, as JSON; got {text!r}.')
  return tuple(parse(item, item_hint, f'{name}.{index}')
               for index, (item, item_hint) in enumerate(zip(items, wanted)))


def words(hint: Any) -> str:
  """Returns a description of a type's values, such as 'a whole number or none'.

  Example:
    >>> words(int | None), words(tuple[str, ...])
    ('a whole number or none', 'a list of text')
  """
  named = {bool: 'true or false', int: 'a whole number', float: 'a number',
           str: 'text', type(None): 'none'}
  said = [repr(choice) for choice in config_lib.choices(hint)]
  said += [named[m] for m in config_lib.members(hint) if m in named]
  if listed := config_lib.tuple_of(hint):
    item, *_ = config_lib.item_hints(listed, 1)
    nested = config_lib.tuple_of(item)
    said.insert(0, 'a list of ' + (
        'lists' if nested else 'parts' if config_lib.kinds(item)
        else words(item).removeprefix('a ').replace('number', 'numbers')))
  if config_lib.kinds(hint):
    said.insert(0, 'a part')
  return ' or '.join(dict.fromkeys(said))


def _refusal(text: str, hint: Any, name: str) -> str:
  """Returns the message that rejects a text as the value of a field."""
  if named := config_lib.kinds(hint):
    names = list(named) + ['none'] * config_lib.optional(hint)
    return (f'{name} is a part, which is chosen by its kind, one of {names}: '
            f'--{name}.kind={next(iter(named))}.'
            f'{config_lib.near(text, names)}')
  return (f'{name} should be {words(hint)}; got {text!r}.'
          f'{config_lib.near(text, config_lib.choices(hint))}')
