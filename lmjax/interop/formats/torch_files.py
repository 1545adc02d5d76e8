"""Files that `torch.save` wrote, read without torch and without running code.

Since torch 1.6 such a file is a zip file: `data.pkl` describes the tensors, and
each storage is an entry `data/KEY`. Before, it was a row of pickles (a magic
number, the version, facts of the machine, the tensors, the storages' keys),
followed by the storages in the order of their keys, each after its length.

References:
  PyTorch, torch/serialization.py.
"""
from collections.abc import Callable, Iterator
import contextlib
import functools
import math
import os
from typing import Any
import zlib

import numpy as np

from lmjax.core import errors
from lmjax.interop.formats import elements
from lmjax.interop.formats import mapped
from lmjax.interop.formats import shards
from lmjax.interop.formats import tensors
from lmjax.interop.formats import torch_pickle
from lmjax.interop.formats import zip_entries

NAME = 'pytorch_model.bin'
_LONGEST_PICKLE = 16 << 20
# Files before torch 1.6: a pickled magic number, then a version.
_BEGINNING = b'\x80\2\x8a\n' + 0x1950a86a20f9469cfc6c.to_bytes(10, 'little')
_VERSION = 1001
_LENGTH = 8  # Bytes of a storage's length.

Views = dict[str, torch_pickle.View]
# Gives a function that reads a storage; raises ValueError if it is not there.
Numbers = Callable[[torch_pickle.Storage], Callable[[], np.ndarray]]


def open_weights(path: str | os.PathLike[str]) -> tensors.Tensors:
  """Opens a file of `torch.save`, a folder with one, or shards of an index.

  Args:
    path: A file, an index (`pytorch_model.bin.index.json`), or a folder with
      either.

  Returns:
    The tensors by name; they are read from the file when asked for.

  Raises:
    InputError: If there is nothing there, or a file is not intact or holds
      other things than tensors.
  """
  return shards.open_weights(path, NAME, open_file)


def open_file(path: str | os.PathLike[str]) -> tensors.Tensors:
  """Opens one file of `torch.save`; see `open_weights`."""
  content = mapped.content(path)
  is_zip = content[:4].tobytes() == b'PK\3\4'
  with _naming(path):
    views, numbers = (_open_zip if is_zip else _open_row)(content)
    return {name: _tensor(path, name, view, numbers(view.storage))
            for name, view in views.items()}


@contextlib.contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
  """Raises InputError, which names the file, instead of ValueError."""
  try:
    yield
  except ValueError as error:
    raise errors.InputError(
        f'{path} cannot be read as weights that torch saved: {error}.'
    ) from error


def _open_zip(content: np.ndarray) -> tuple[Views, Numbers]:
  """Opens a file since torch 1.6."""
  entries = zip_entries.entries(content)
  roots = [name.removesuffix('data.pkl') for name in entries
           if name.endswith('/data.pkl')]
  if len(roots) != 1:
    raise ValueError(f'it should have one entry data.pkl, but has {len(roots)}')

  @functools.cache  # Once for all tensors of a storage.
  def check(name):
    found = zlib.crc32(entries[name].of(content))
    if found != entries[name].crc:
      raise ValueError(
          f'its entry {name!r} is damaged, as its CRC-32 should be '
          f'{entries[name].crc:08x}, but is {found:08x}; download or copy the '
          'file again')

  program, order = (entries.get(f'{roots[0]}{name}')
                    for name in ('data.pkl', 'byteorder'))
  if program.size > _LONGEST_PICKLE:
    raise ValueError(f'its pickle has {program.size:,} bytes, more than '
                     f'{_LONGEST_PICKLE:,}')
  check(f'{roots[0]}data.pkl')
  views = _views(torch_pickle.evaluate(program.of(content).tobytes())[0])
  is_big = order is not None and _is_big(order.of(content)[:6].tobytes())

  def numbers(storage):
    name = f'{roots[0]}data/{storage.key}'
    if name not in entries:
      raise ValueError(f'its storage {storage.key[:100]!r} is missing')
    entry = entries[name]
    if entry.size != storage.size * elements.DTYPES[storage.dtype].itemsize:
      raise ValueError(
          f'its storage {storage.key[:100]!r} should have {storage.size:,} '
          f'numbers of type {storage.dtype}, but has {entry.size:,} bytes')

    def read():
      check(name)
      return _flat(content, entry.begin, storage, is_big)
    return read
  return views, numbers


def _is_big(order: bytes) -> bool:
  if order not in (b'little', b'big'):
    raise ValueError(f'its byte order should be little or big, not {order!r}')
  return order == b'big'


def _open_row(content: np.ndarray) -> tuple[Views, Numbers]:
  """Opens a file before torch 1.6, whose numbers are always little-endian."""
  at = 0

  def following():
    nonlocal at
    value, length = torch_pickle.evaluate(
        content[at:at + _LONGEST_PICKLE].tobytes())
    at += length
    return value

  if content[:len(_BEGINNING)].tobytes() != _BEGINNING:
    raise ValueError('it begins like no file of torch')
  _magic, version, _machine, value, keys = (following() for _ in range(5))
  if version != _VERSION or not isinstance(keys, list):
    raise ValueError('its pickles are not in the order of torch')
  views = _views(value)
  storages = {view.storage.key: view.storage for view in views.values()}
  begins = {}
  for key in keys:
    size = int.from_bytes(content[at:at + _LENGTH].tobytes(), 'little')
    if not isinstance(key, str) or key in begins or key not in storages or (
        storages[key].size != size):
      raise ValueError('its storages are not those of its tensors')
    begins[key] = at + _LENGTH
    at = begins[key] + size * elements.DTYPES[storages[key].dtype].itemsize
  if at != content.size:
    raise ValueError(
        f'it should have {at:,} bytes, but has {content.size:,}: it is cut '
        'short or damaged')

  def numbers(storage):
    if storage.key not in begins or storage != storages[storage.key]:
      raise ValueError(f'its storage {storage.key[:100]!r} is missing')
    return lambda: _flat(content, begins[storage.key], storage, False)
  return views, numbers


def _views(value: Any) -> Views:
  """Returns the value of a pickle, if it is a dictionary of tensors."""
  if not isinstance(value, dict):
    raise ValueError('it should hold a dictionary of tensors')
  for name, view in value.items():
    if not name.isprintable():
      raise ValueError(f'its name {name[:100]!r} cannot be printed')
    if not isinstance(view, torch_pickle.View):
      raise ValueError(
          f'its {name[:100]!r} is not a tensor; save the weights alone, as '
          '`model.state_dict()` gives them')
  return value


def _flat(content: np.ndarray, begin: int, storage: torch_pickle.Storage,
          is_big: bool) -> np.ndarray:
  """Returns the numbers of a storage."""
  dtype = elements.DTYPES[storage.dtype]
  if dtype == bool and (content[begin:begin + storage.size] > 1).any():
    raise ValueError(
        f'its storage {storage.key[:100]!r} of truth values should hold only '
        'the bytes 0 and 1, but holds others')
  flat = mapped.array(content, begin, dtype, (storage.size,))
  return flat.byteswap() if is_big else flat


def _tensor(
    path: str | os.PathLike[str], name: str, view: torch_pickle.View,
    read_storage: Callable[[], np.ndarray]) -> tensors.Tensor:
  """Returns the tensor that a view describes, if it lies in its storage."""
  shape, strides, size = view.shape, view.strides, view.storage.size
  dtype = elements.DTYPES[view.storage.dtype]
  if not all(type(n) is int and n >= 0
             for n in (view.offset, *shape, *strides)):
    raise ValueError(
        f'its tensor {name[:100]!r} has a shape, strides or an offset that are '
        'not counts')
  if len(shape) != len(strides) or not mapped.fits(shape, dtype):
    raise ValueError(
        f'its tensor {name[:100]!r} has the shape {str(shape)[:100]} and the '
        f'strides {str(strides)[:100]}')
  last = view.offset + sum((n - 1) * step for n, step in zip(shape, strides))
  count = math.prod(shape)
  if count > size or (last >= size if count else view.offset > size):
    raise ValueError(
        f'its tensor {name[:100]!r} of shape {shape} does not fit into its '
        f'storage of {size:,} numbers')

  def read():
    with _naming(path):
      flat = read_storage()
    return np.lib.stride_tricks.as_strided(
        flat[view.offset:], shape,
        [step * dtype.itemsize for step in strides], writeable=False)
  return tensors.Tensor(shape, view.storage.dtype, read)
