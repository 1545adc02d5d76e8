"""Names of classes: the labels that files hold, as text."""
import collections
from collections.abc import Callable, Iterable, Sequence
import math
import re
from typing import Any

import numpy as np

from lmjax.core import config
from lmjax.core import errors

_MOST = 10  # Labels that are listed with their counts.
_WHOLE = re.compile(r'(-?\d+)\.0+')


def name(label: Any, where: str) -> str:
  """Returns the name of a label.

  Whole numbers have one name, however they are written: 1, 1.0 and '1.0' are
  '1'. The values true and false are 'true' and 'false', as in JSON, and not
  numbers. Other text is its own name, without the whitespace around it.

  Args:
    label: A label from a file: text, a number, or true or false.
    where: The place of the label, such as file and line, for messages.

  Raises:
    InputError: If the label is null, a list, an object, or no finite number.

  Example:
    >>> [name(label, 'line 1') for label in (1, 1.0, ' 1.0 ', 0.5, True)]
    ['1', '1', '1', '0.5', 'true']
  """
  label = label.item() if isinstance(label, np.generic) else label
  if isinstance(label, bool):
    return str(label).lower()
  if isinstance(label, float) and label.is_integer():
    label = int(label)
  if isinstance(label, float) and not math.isfinite(label) or not (
      isinstance(label, str | int | float)):
    raise errors.InputError(
        f'{where}: a label should be text, a number, or true or false; got '
        f'{"null" if label is None else repr(label)[:60]}. Correct the row or '
        'remove it.')
  text = str(label).strip()
  whole = _WHOLE.fullmatch(text)
  return whole[1] if whole else text


def named(rename: Sequence[str]) -> Callable[[Any, str], str]:
  """Returns `name`, with new names for some labels.

  Args:
    rename: Pairs such as '1=positive'; other labels keep their name.

  Raises:
    InputError: If an item of `rename` is not a pair.
  """
  names = {}
  for pair in rename:
    old, equals, new = pair.partition('=')
    if not equals:
      raise errors.InputError(
          f"rename should hold pairs such as '1=positive'; got {pair!r}.")
    names[name(old, 'rename')] = new

  def name_of(label: Any, where: str) -> str:
    found = name(label, where)
    return names.get(found, found)
  return name_of


def check(name: str, labels: Sequence[str], field: str) -> None:
  """Raises InputError if a name that a field of the config has is no label."""
  if name not in labels:
    raise errors.InputError(
        f'{field} has {name!r}, which is not one of the {len(labels)} labels '
        f'{list(labels)[:20]}.{config.near(name, labels)}')


def ordered(labels: Iterable[str]) -> tuple[str, ...]:
  """Returns the distinct labels, sorted: numbers by value, names by letters."""
  found = set(labels)
  if all(label.isdecimal() for label in found):
    return tuple(sorted(found, key=int))
  return tuple(sorted(found))


def told(labels: Iterable[str], what: str = 'labels') -> str:
  """Returns a sentence with the distinct labels and their counts.

  Example:
    >>> told(['good', 'bad', 'good'])
    'labels: bad (1), good (2).'
  """
  counts = collections.Counter(labels)
  if len(counts) <= _MOST:
    listed, start = [(label, counts[label]) for label in ordered(counts)], ''
  else:
    listed = counts.most_common(_MOST)
    start = f'{len(counts)} in all, most often '
  return f'{what}: {start}' + ', '.join(
      f'{label} ({count:,})' for label, count in listed) + '.'
