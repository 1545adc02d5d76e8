"""Safetensors: a JSON header with names, types and places, then the numbers.

A file begins with the length of its header as a 64-bit number. The header maps
each name to a type, a shape and the first and last byte of the numbers, counted
from the end of the header; the numbers of all tensors fill the file without
holes. The file is mapped, so that reading a tensor copies nothing; the
library's numpy side would copy each tensor.

References:
  Safetensors, "Format", https://huggingface.co/docs/safetensors/index.
"""
from collections.abc import Iterator
import math
import os
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import strict_json
from lmjax.interop.formats import elements
from lmjax.interop.formats import mapped
from lmjax.interop.formats import shards
from lmjax.interop.formats import tensors

NAME = 'model.safetensors'
_PREFIX = 8  # Bytes of the header's length.
_LONGEST_HEADER = 16 << 20  # About 100,000 tensors; its JSON takes 10x memory.
_FIELDS = {'dtype', 'shape', 'data_offsets'}


def open_weights(path: str | os.PathLike[str]) -> tensors.Tensors:
  """Opens a safetensors file, a folder with one, or all shards of an index.

  Args:
    path: A file, an index (`model.safetensors.index.json`), or a folder with
      either.

  Returns:
    The tensors by name; they are read from the file when asked for.

  Raises:
    InputError: If there is nothing there, or a file is not intact.
  """
  return shards.open_weights(path, NAME, open_file)


def open_file(path: str | os.PathLike[str]) -> tensors.Tensors:
  """Opens one safetensors file; see `open_weights`."""
  found = mapped.content(path)
  try:
    begin, header = _header(found)
    return dict(_entries(header, found[begin:]))
  except ValueError as error:
    raise errors.InputError(
        f'{path} is not an intact safetensors file: {error}. Download or copy '
        'it again.') from error


def _header(found: np.ndarray) -> tuple[int, dict[str, Any]]:
  """Returns where the numbers begin, and the header of a file."""
  length = int.from_bytes(found[:_PREFIX].tobytes(), 'little')
  rest = found.size - _PREFIX
  if not 0 < length <= rest:
    raise ValueError(
        f'its header should have {length:,} bytes, but {max(rest, 0):,} follow')
  if length > _LONGEST_HEADER:
    raise ValueError(
        f'its header has {length:,} bytes, more than {_LONGEST_HEADER:,}')
  begin = _PREFIX + length
  try:
    header = strict_json.loads(found[_PREFIX:begin].tobytes().decode('utf-8'))
  except ValueError as error:
    raise ValueError(f'its header is not JSON ({error})') from error
  if not isinstance(header, dict):
    raise ValueError('its header is not a JSON object')
  return begin, header


def _entries(
    header: dict[str, Any], data: np.ndarray
) -> Iterator[tuple[str, tensors.Tensor]]:
  """Yields the tensors of a header, and checks that they fill the file."""
  header.pop('__metadata__', None)
  places = {name: _place(name, entry) for name, entry in header.items()}
  last = 0
  for name, (dtype, shape, begin, end) in sorted(
      places.items(), key=lambda item: item[1][2:]):
    if begin != last:
      raise ValueError(
          f'the tensor {name[:100]!r} should begin at byte {last:,} of the '
          f'numbers, where the one before it ends, but begins at {begin:,}')
    last = end
    if end > data.size:
      break
    yield name, tensors.Tensor(shape, dtype, _reader(name, data, *places[name]))
  if last != data.size:
    raise ValueError(
        f'its header describes {last:,} bytes of numbers, but the file has '
        f'{data.size:,}')


def _place(name: str, entry: Any) -> tuple[str, tuple[int, ...], int, int]:
  """Returns type, shape, first and last byte of a tensor in the header."""
  called = f'the tensor {name[:100]!r}'
  if not name.isprintable():  # A terminal would obey control characters.
    raise ValueError(f'{called} has a name that cannot be printed')
  if not isinstance(entry, dict) or entry.keys() != _FIELDS:
    raise ValueError(f'{called} should have just {", ".join(sorted(_FIELDS))}')
  dtype, shape, offsets = (
      entry['dtype'], entry['shape'], entry['data_offsets'])
  if not isinstance(dtype, str) or dtype not in elements.DTYPES:
    raise ValueError(
        f'{called} has the type {str(dtype)[:20]!r}, which is not one of '
        f'{", ".join(elements.DTYPES)}')
  if not _are_counts(shape) or not mapped.fits(
      tuple(shape), elements.DTYPES[dtype]):
    raise ValueError(f'{called} has the shape {str(shape)[:100]}')
  if not _are_counts(offsets) or len(offsets) != 2:
    raise ValueError(f'{called} has the offsets {str(offsets)[:100]}')
  size = math.prod(shape) * elements.DTYPES[dtype].itemsize
  if offsets[1] - offsets[0] != size:
    raise ValueError(
        f'{called} of type {dtype} and shape {shape} should have {size:,} '
        f'bytes, but has {offsets[1] - offsets[0]:,}')
  return dtype, tuple(shape), *offsets


def _are_counts(value: Any) -> bool:
  return isinstance(value, list) and all(
      type(n) is int and n >= 0 for n in value)  # True is no count.


def _reader(name, data, dtype, shape, begin, end):
  """Returns the function that reads one tensor."""
  def read():
    if dtype == 'BOOL' and (data[begin:end] > 1).any():
      raise errors.InputError(
          f'The tensor {name[:100]!r} of type BOOL should hold only the bytes '
          '0 and 1, but holds others; download or copy its file again.')
    return mapped.array(data, begin, elements.DTYPES[dtype], shape)
  return read
