"""Strict reading of JSON from untrusted files.

Keys have to be unique, numbers finite, and size and depth bounded. Text that
breaks these rules raises `ValueError`, as does text that is not JSON.
"""
import json
import math
import os
from typing import Any

_MAX_DEPTH = 100
_MAX_DIGITS = 31  # Published tokenizers without a limit say int(1e30).
_MAX_BYTES = 64 << 20


def loads(text: str, lenient: bool = False) -> Any:
  """Returns the value of a JSON text.

  Args:
    text: The text.
    lenient: Whether NaN and infinities may occur, as they do in data sets.

  Raises:
    ValueError: If the text is not JSON, a key occurs twice in an object, a
      number is not finite, or the value is nested more than 100 deep.

  Example:
    >>> loads('{"a": 1, "a": 2}')
    Traceback (most recent call last):
    ValueError: the key 'a' comes twice
  """
  try:
    value = (_LENIENT if lenient else _STRICT).decode(text)
  except RecursionError:
    raise ValueError(f'nested more than {_MAX_DEPTH} deep') from None
  if text.count('[') + text.count('{') > _MAX_DEPTH:
    _check_depth(value)
  return value


def read(path: str | os.PathLike[str], max_bytes: int = _MAX_BYTES) -> Any:
  """Returns the value of a JSON file; see `loads`.

  Raises:
    ValueError: If the file is larger than `max_bytes`, not UTF-8, or holds text
      that `loads` rejects.
    OSError: If the file cannot be read.
  """
  with open(path, 'rb') as file:
    raw = file.read(max_bytes + 1)
  if len(raw) > max_bytes:
    raise ValueError(f'it is larger than {max_bytes:,} bytes')
  return loads(raw.decode('utf-8'))


def _object(pairs):
  value = dict(pairs)
  if len(value) != len(pairs):
    seen = set()
    twice = next(k for k, _ in pairs if k in seen or seen.add(k))
    raise ValueError(f'the key {twice[:60]!r} comes twice')
  return value


def _constant(name):
  raise ValueError(f'{name} is not a JSON number')


def _float(text):
  value = float(text)
  if not math.isfinite(value):
    raise ValueError(f'{text[:20]} is too large a number')
  return value


def _int(text):
  if len(text) > _MAX_DIGITS:
    raise ValueError(f'{text[:20]}... is too large a number')
  return int(text)


def _check_depth(value):
  level = [value]
  for _ in range(_MAX_DEPTH + 1):
    level = [child for node in level if isinstance(node, (dict, list))
             for child in (node.values() if isinstance(node, dict) else node)]
    if not level:
      return
  raise ValueError(f'nested more than {_MAX_DEPTH} deep')


_STRICT = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float,
    parse_int=_int)
_LENIENT = json.JSONDecoder(object_pairs_hook=_object)
