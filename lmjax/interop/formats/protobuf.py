"""Strict reading of protocol buffers: numbered fields, nested in bytes.

A message is a run of fields. Each begins with a number that holds the number of
the field and how its value is stored: as a variable-length integer, as 4 or 8
bytes, or as bytes with their length in front. Nothing is copied until it is
asked for.

References:
  Protocol Buffers, "Encoding",
  https://protobuf.dev/programming-guides/encoding.
"""
from collections.abc import Iterator

import numpy as np

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
_LONGEST = 10  # Bytes of a varint of 64 bits.

Value = int | memoryview


def fields(message: memoryview) -> Iterator[tuple[int, Value]]:
  """Yields the fields of a message: their numbers, and integers or bytes.

  Raises:
    ValueError: If the message is damaged.
  """
  at = 0
  while at < len(message):
    key, at = _varint(message, at)
    kind = key & 7
    if kind == VARINT:
      value, at = _varint(message, at)
    elif kind in (EIGHT_BYTES, FOUR_BYTES, BYTES):
      size = 8 if kind == EIGHT_BYTES else 4
      if kind == BYTES:
        size, at = _varint(message, at)
      if size > len(message) - at:
        raise ValueError(
            f'field {key >> 3} should have {size:,} bytes, but its message '
            f'ends after {len(message) - at:,}')
      value = message[at:at + size]
      at += size
    else:
      raise ValueError(f'field {key >> 3} is stored in the unknown way {kind}')
    yield key >> 3, value


def text(value: Value) -> str:
  """Returns a field that is a text."""
  try:
    return str(nested(value), 'utf-8')
  except UnicodeDecodeError as error:
    raise ValueError('a name is not UTF-8') from error


def nested(value: Value) -> memoryview:
  """Returns a field that is a message or bytes."""
  if not isinstance(value, memoryview):
    raise ValueError('a field has a number where bytes belong')
  return value


def whole(value: Value) -> int:
  """Returns a field that is a signed integer of 64 bits."""
  if not isinstance(value, int):
    raise ValueError('a field has bytes where a number belongs')
  return value - (1 << 64) if value >> 63 else value


def wholes(value: Value, most: int) -> list[int]:
  """Returns the integers of a repeated field: one, or several packed ones.

  Raises:
    ValueError: If there are more than `most`.
  """
  if isinstance(value, int):
    return [whole(value)]
  found, at = [], 0
  while at < len(value):
    number, at = _varint(value, at)
    found.append(whole(number))
    if len(found) > most:
      raise ValueError(f'a list has more than {most} numbers')
  return found


def array(value: memoryview, dtype: np.dtype) -> np.ndarray:
  """Returns numbers of a fixed size, as a view of their bytes."""
  if len(value) % dtype.itemsize:
    raise ValueError(
        f'numbers of {dtype.itemsize} bytes have {len(value):,} bytes')
  return np.frombuffer(value, dtype)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
  """Returns an integer, and where it ends."""
  found = 0
  for shift, byte in enumerate(message[at:at + _LONGEST]):
    found |= (byte & 127) << 7 * shift
    if byte < 128:
      if found >> 64:
        break
      return found, at + shift + 1
  raise ValueError(f'byte {at:,} begins no number')
