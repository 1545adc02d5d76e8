"""Safetensors: a JSON header with names, types and places, then the numbers.

A file begins with the length of its header as a 64-bit number. The header maps
each name to a type, a shape and the first and last byte of the numbers, counted
from the end of the header; the numbers of all tensors fill the file without
holes. The file is mapped, so that reading a tensor copies nothing; the
library's numpy side would copy each tensor.

References:
  Safetensors, "Format", https://huggingface.co/docs/safetensors/index.
"""
from collections.abc import Iterable, Iterator, Mapping
import json
import math
import os
import pathlib
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.interop.formats import elements
from lmjax.interop.formats import headers
from lmjax.interop.formats import mapped
from lmjax.interop.formats import shards
from lmjax.interop.formats import tensors

NAME = 'model.safetensors'
_PREFIX = 8  # Bytes of the header's length.
_FIELDS = {'dtype', 'shape', 'data_offsets'}
_METADATA = '__metadata__'
_SHARD_BYTES = 5_000_000_000


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
  begin = _PREFIX + length
  try:
    header = headers.read(found[_PREFIX:begin])
  except ValueError as error:
    raise ValueError(f'its header cannot be read, as {error}') from error
  return begin, header


def _entries(
    header: dict[str, Any], data: np.ndarray
) -> Iterator[tuple[str, tensors.Tensor]]:
  """Yields the tensors of a header, and checks that they fill the file."""
  header.pop(_METADATA, None)
  places = {name: _place(name, entry) for name, entry in header.items()}
  last = 0
  for name, (dtype, shape, begin, end) in sorted(
      places.items(), key=lambda item: item[1][2:]):
    if begin != last:
      raise ValueError(
          f'the tensor {name[:100]!r} should begin at byte {last:,} of the '
          f'numbers, where the one before it ends, but begins at {begin:,}')
    last = end
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


def write(
    folder: str | os.PathLike[str],
    weights: Iterable[tuple[str, tensors.Tensor | np.ndarray]],
    metadata: Mapping[str, str] | None = None,
    shard_bytes: int = _SHARD_BYTES) -> None:
  """Writes tensors to `model.safetensors`, or to shards and their index.

  One tensor is in memory at a time. Each file appears when it is complete, and
  the index last.

  Args:
    folder: An existing folder without safetensors files.
    weights: Names and tensors; the index and the shards keep their order.
    metadata: Texts for the header; by default, that the layout is torch's,
      which `transformers` asks for.
    shard_bytes: The largest number of bytes of numbers in a file that has more
      than one tensor.

  Raises:
    InputError: If the folder has safetensors files.
    ValueError: If a name comes twice, or a tensor has a type that the format
      does not have.
  """
  folder = pathlib.Path(folder)
  old = next(folder.glob('*.safetensors*'), None)
  if old is not None:
    raise errors.InputError(
        f'{folder} should have no weights yet, but has {old.name}; write to a '
        'new folder.')
  metadata = {'format': 'pt'} if metadata is None else metadata
  files = _split([(name, weight if isinstance(weight, tensors.Tensor)
                   else tensors.Tensor.of(weight)) for name, weight in weights],
                 shard_bytes)
  for file, part in files.items():
    _write_file(folder / file, part, metadata)
  if len(files) > 1:
    index = {'metadata': {'total_size': sum(
        _bytes(tensor) for part in files.values() for tensor in part.values())},
             'weight_map': {
                 name: file for file, part in files.items() for name in part}}
    atomic.write(folder / f'{NAME}{shards.SUFFIX}',
                 json.dumps(index, indent=2) + '\n')


def _bytes(tensor: tensors.Tensor) -> int:
  dtype = elements.DTYPES[elements.name_of(tensor.dtype)]
  return tensor.size * dtype.itemsize


def _split(weights: list[tuple[str, tensors.Tensor]], shard_bytes: int
           ) -> dict[str, dict[str, tensors.Tensor]]:
  """Returns the tensors of each file."""
  parts, room = [{}], shard_bytes
  for name, tensor in weights:
    if any(name in part for part in parts) or name == _METADATA:
      raise ValueError(f'A tensor cannot have the name {name!r}, or not twice.')
    if _bytes(tensor) > room and parts[-1]:
      parts.append({})
      room = shard_bytes
    parts[-1][name] = tensor
    room -= _bytes(tensor)
  stem, suffix = os.path.splitext(NAME)
  return {NAME if len(parts) == 1 else
          f'{stem}-{number:05}-of-{len(parts):05}{suffix}': part
          for number, part in enumerate(parts, 1)}


def _write_file(path: pathlib.Path, weights: tensors.Tensors,
                metadata: Mapping[str, str]) -> None:
  """Writes one file: the widest types first, so that all are aligned."""
  order = [*elements.DTYPES]
  names = sorted(weights, key=lambda name: (
      order.index(elements.name_of(weights[name].dtype)), name))
  header, end = {_METADATA: dict(metadata)} if metadata else {}, 0
  for name in names:
    tensor, begin = weights[name], end
    end += _bytes(tensor)
    header[name] = {'dtype': elements.name_of(tensor.dtype),
                    'shape': tensor.shape, 'data_offsets': [begin, end]}
  text = json.dumps(
      header, ensure_ascii=False, separators=(',', ':')).encode('utf-8')
  text += b' ' * (-len(text) % _PREFIX)
  with atomic.opened(path, 'wb') as file:
    file.write(len(text).to_bytes(_PREFIX, 'little') + text)
    for name in names:
      file.write(_numbers(name, weights[name]))


def _numbers(name: str, tensor: tensors.Tensor) -> np.ndarray:
  """Returns the bytes of a tensor."""
  array = tensor.read()
  dtype = elements.DTYPES[elements.name_of(tensor.dtype)]
  if (array.shape, array.dtype) != (tensor.shape, dtype):
    raise ValueError(
        f'The tensor {name!r} should be {dtype} of shape {tensor.shape}, but '
        f'is {array.dtype} of shape {array.shape}.')
  return array.reshape(-1).view(np.uint8)
