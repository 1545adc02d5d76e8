"""GGUF files: metadata by key, and tensors by name.

A file begins with a magic word, its version, and two counts. Then come the
pairs of key and value, the name, shape, type and offset of each tensor, and the
numbers, each tensor beginning at a multiple of the alignment. Everything is
little-endian, and dimensions are listed from the last to the first.

The library `gguf` reads such files too, but trusts their counts and lengths, so
that a damaged file makes it loop or allocate without end. Here all of them are
checked against the size of the file first.

References:
  ggml, "GGUF", https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""
from collections.abc import Callable, Iterator, Mapping
import dataclasses
import math
import os
import struct
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.interop.formats import mapped
from lmjax.interop.formats import tensors
from lmjax.interop.formats.gguf import blocks

MAGIC = b'GGUF'
VERSION = 3
ALIGNMENT = 32
UINT32, FLOAT32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9
SCALARS = {0: '<u1', 1: '<i1', 2: '<u2', 3: '<i2', UINT32: '<u4', 5: '<i4',
           FLOAT32: '<f4', BOOL: '|b1', 10: '<u8', 11: '<i8', 12: '<f8'}
_MOST_DIMENSIONS = 4
_LEAST_PAIR, _LEAST_TENSOR = 13, 24  # The bytes that one takes at least.
# More than any model has. A text takes several times its bytes in memory.
_MOST_PAIRS, _MOST_TENSORS, _MOST_TEXTS = 10_000, 100_000, 4_000_000


@dataclasses.dataclass(frozen=True)
class Stored(tensors.Tensor):
  """A tensor of a file that can be read in parts.

  Attributes:
    part: Function that reads one entry along the first axis.
  """
  part: Callable[[int], np.ndarray] = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True)
class Container:
  """The contents of a GGUF file.

  Attributes:
    metadata: Values by key: numbers, booleans, texts, lists of texts, and
      arrays of numbers.
    tensors: The tensors by their names in the file.
  """
  metadata: Mapping[str, Any]
  tensors: Mapping[str, Stored]


def read(path: str | os.PathLike[str]) -> Container:
  """Opens a GGUF file; the numbers are read when a tensor is asked for.

  Raises:
    InputError: If the file cannot be read, is damaged, or holds a type of
      elements that is not read.
  """
  content = mapped.content(path)
  try:
    cursor = _Cursor(memoryview(content))
    tensor_count, pair_count = _opening(cursor)
    metadata = dict(_pairs(cursor, pair_count))
    found = _tensors(cursor, tensor_count, _alignment(metadata), content)
    return Container(metadata, found)
  except ValueError as error:
    raise errors.InputError(
        f'{path} is not a GGUF file that can be read: {error}.') from error


class _Cursor:
  """A place in the bytes of a file; raises ValueError rather than pass its end.
  """

  def __init__(self, content: memoryview):
    self.content = content
    self.at = 0

  def take(self, size: int, what: str) -> memoryview:
    if size > len(self.content) - self.at:
      raise ValueError(
          f'{what} at byte {self.at:,} should have {size:,} bytes, but the '
          f'file ends after {len(self.content) - self.at:,}')
    self.at += size
    return self.content[self.at - size:self.at]

  def number(self, form: str, what: str) -> int:
    return struct.unpack(form, self.take(struct.calcsize(form), what))[0]

  def text(self, what: str) -> str:
    found = self.take(self.number('<Q', f'the length of {what}'), what)
    try:
      return str(found, 'utf-8')
    except UnicodeDecodeError as error:
      raise ValueError(f'{what} is not UTF-8') from error

  def count(self, least: int, what: str, most: int = 1 << 63) -> int:
    """Returns a number of things that take at least `least` bytes each."""
    found = self.number('<Q', f'the number of {what}')
    if found > most:
      raise ValueError(
          f'it should have {found:,} {what}, and at most {most:,} are read')
    if found * least > len(self.content) - self.at:
      raise ValueError(
          f'it should have {found:,} {what}, which its {len(self.content):,} '
          'bytes cannot hold')
    return found


def _opening(cursor):
  """Returns the numbers of tensors and of pairs."""
  magic = bytes(cursor.take(len(MAGIC), 'its first word'))
  if magic != MAGIC:
    raise ValueError(f'it should begin with {MAGIC!r}, but begins {magic!r}')
  version = cursor.number('<I', 'the version')
  if version not in (2, VERSION):
    raise ValueError(
        f'it has version {version}, and versions 2 and {VERSION} are read'
        + (' (it is big-endian)' if version and not version % 65536 else ''))
  return (cursor.count(_LEAST_TENSOR, 'tensors', _MOST_TENSORS),
          cursor.count(_LEAST_PAIR, 'values', _MOST_PAIRS))


def _pairs(cursor: _Cursor, count: int) -> Iterator[tuple[str, Any]]:
  """Yields keys and values."""
  seen = set()
  for _ in range(count):
    key = cursor.text('a key')
    if key in seen:
      raise ValueError(f'the key {key[:100]!r} comes twice')
    seen.add(key)
    kind = cursor.number('<I', f'the type of {key[:100]!r}')
    yield key, _value(cursor, kind, repr(key[:100]))


def _value(cursor: _Cursor, kind: int, what: str) -> Any:
  """Returns a value of a type."""
  if kind == STRING:
    return cursor.text(what)
  if kind == ARRAY:
    inner = cursor.number('<I', f'the type of {what}')
    if inner == STRING:
      count = cursor.count(8, f'texts of {what}', _MOST_TEXTS)
      return [cursor.text(what) for _ in range(count)]
    dtype = _dtype(inner, what)
    count = cursor.count(dtype.itemsize, f'numbers of {what}')
    return np.frombuffer(
        bytes(cursor.take(count * dtype.itemsize, what)), dtype)
  dtype = _dtype(kind, what)
  return np.frombuffer(cursor.take(dtype.itemsize, what), dtype)[0].item()


def _dtype(kind: int, what: str) -> np.dtype:
  if kind not in SCALARS:
    raise ValueError(f'{what} has a value of the unknown type {kind}')
  return np.dtype(SCALARS[kind])


def _alignment(metadata: Mapping[str, Any]) -> int:
  found = metadata.get('general.alignment', ALIGNMENT)
  if not isinstance(found, int) or found < 1 or found & (found - 1):
    raise ValueError(
        f'general.alignment should be a power of two, but is {found!r:.60}')
  return found


def _tensors(cursor: _Cursor, count: int, alignment: int, content: np.ndarray
             ) -> dict[str, Stored]:
  """Returns the tensors, once all of them are found to lie in the file."""
  infos = {}
  for _ in range(count):
    name = cursor.text('the name of a tensor')
    if name in infos:
      raise ValueError(f'the tensor {name[:100]!r} comes twice')
    infos[name] = _info(cursor, f'the tensor {name[:100]!r}')
  begin = -(-cursor.at // alignment) * alignment
  expected, found = 0, {}
  for name, (kind, shape, offset) in infos.items():
    if offset != expected:
      raise ValueError(
          f'the tensor {name[:100]!r} should begin at byte {expected:,} of '
          f'the numbers, where the one before it ends, but begins at '
          f'{offset:,}')
    size = kind.size(shape)
    data = content[begin + offset:begin + offset + size]
    if data.size != size:
      raise ValueError(
          f'the tensor {name[:100]!r} should have {size:,} bytes, but the file '
          f'ends after {data.size:,}')
    expected = -(-(offset + size) // alignment) * alignment
    found[name] = stored(data, kind, shape)
  return found


def _info(cursor: _Cursor, what: str
          ) -> tuple[blocks.Type, tuple[int, ...], int]:
  """Returns type, shape and offset of a tensor."""
  rank = cursor.number('<I', f'the rank of {what}')
  if rank > _MOST_DIMENSIONS:
    raise ValueError(
        f'{what} should have at most {_MOST_DIMENSIONS} dimensions, but has '
        f'{rank}')
  shape = tuple(cursor.number('<Q', f'the shape of {what}')
                for _ in range(rank))[::-1]
  number = cursor.number('<I', f'the type of {what}')
  if number not in blocks.TYPES:
    raise ValueError(f'{what} has {blocks.refusal(number)}')
  kind = blocks.TYPES[number]
  if math.prod(shape) >= 1 << 60 or 0 in shape:
    raise ValueError(f'{what} has the shape {shape}')
  if math.prod(shape[-1:]) % kind.weights:
    raise ValueError(
        f'{what} has the shape {shape}, and the rows of its type {kind.name} '
        f'should be multiples of {kind.weights} long')
  return kind, shape, cursor.number('<Q', f'the offset of {what}')


def write(path: str | os.PathLike[str], metadata: Mapping[str, Any],
          contents: Mapping[str, tuple[tensors.Tensor, blocks.Type]]) -> None:
  """Writes a GGUF file atomically, reading one tensor at a time.

  Args:
    path: The file.
    metadata: Values by key, of the types that `Container` has, or lists of
      numbers. Whole numbers are stored with 32 bits, and real numbers as
      float32.
    contents: The tensors by name, and the types of their elements in the file.
  """
  head = bytearray(MAGIC)
  head += struct.pack('<IQQ', VERSION, len(contents), len(metadata))
  for key, value in metadata.items():
    kind, content = _encoded(value)
    head += _text(key) + struct.pack('<I', kind) + content
  offset = 0
  for name, (tensor, kind) in contents.items():
    head += _text(name) + struct.pack(
        f'<I{len(tensor.shape)}QIQ', len(tensor.shape), *tensor.shape[::-1],
        kind.number, offset)
    offset += _padded(kind.size(tensor.shape))
  with atomic.opened(path, 'wb') as file:
    file.write(head + bytes(_padded(len(head)) - len(head)))
    for tensor, kind in contents.values():
      content = blocks.written(tensor.read(), kind)
      file.write(content)
      file.write(bytes(_padded(len(content)) - len(content)))


def _padded(size: int) -> int:
  return -(-size // ALIGNMENT) * ALIGNMENT


def _text(value: str) -> bytes:
  content = value.encode('utf-8')
  return struct.pack('<Q', len(content)) + content


def _encoded(value: Any) -> tuple[int, bytes]:
  """Returns the type of a value and its bytes."""
  if isinstance(value, str):
    return STRING, _text(value)
  if isinstance(value, list) and value and not isinstance(value[0], str):
    value = np.asarray(value, {
        bool: '|b1', int: '<i4', float: '<f4'}[type(value[0])])
  if isinstance(value, list):
    return ARRAY, struct.pack('<IQ', STRING, len(value)) + b''.join(
        map(_text, value))
  if isinstance(value, np.ndarray):
    kind = next(kind for kind, dtype in SCALARS.items()
                if np.dtype(dtype) == value.dtype)
    return ARRAY, struct.pack('<IQ', kind, len(value)) + value.tobytes()
  if isinstance(value, bool):
    return BOOL, struct.pack('<?', value)
  if isinstance(value, int):
    return UINT32, struct.pack('<I', value)
  return FLOAT32, struct.pack('<f', value)


def stored(data: np.ndarray, kind: blocks.Type, shape: tuple[int, ...]
           ) -> Stored:
  """Returns the tensor whose elements are these bytes."""
  def part(index):
    size = kind.size(shape[1:])
    return blocks.read(
        data[index * size:(index + 1) * size], kind, shape[1:])
  return Stored(
      shape, kind.name, lambda: blocks.read(data, kind, shape), part)
