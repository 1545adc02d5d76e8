"""Bytes of a file as read-only arrays, which the system reads when needed."""
import math
import mmap
import os
import pathlib

import numpy as np

from lmjax.core import errors

_POINTER = b'version https://git-lfs'


def content(path: str | os.PathLike[str]) -> np.ndarray:
  """Returns the bytes of a file as a read-only array.

  The file is mapped: its pages are read when they are looked at, and the system
  may drop them again. It should not change meanwhile.

  Args:
    path: A file of weights.

  Raises:
    InputError: If there is no such file, it is empty or cannot be read, or it
      is the pointer that Git LFS leaves for a file that it did not download.
  """
  path = pathlib.Path(path)
  if not path.is_file():  # Opening a pipe would wait for its writer.
    raise errors.InputError(
        f'{path} should be a file, but is '
        f'{"no regular file" if path.exists() else "absent"}.')
  try:
    if not path.stat().st_size:
      raise errors.InputError(f'{path} is empty; download or copy it again.')
    found = np.memmap(path, np.uint8, 'r').view(np.ndarray)
  except OSError as error:
    raise errors.InputError(
        f'{path} cannot be read: {error.strerror or error}.') from error
  if found[:len(_POINTER)].tobytes() == _POINTER:
    raise errors.InputError(
        f'{path} is a pointer of Git LFS instead of the file itself; fetch it '
        'with `git lfs pull`.')
  return found


def fits(shape: tuple[int, ...], dtype: np.dtype) -> bool:
  """Returns whether numpy can represent an array of this shape at all.

  An array without elements may still have dimensions that are too large.
  """
  most = np.iinfo(np.intp).max // dtype.itemsize
  return len(shape) <= 32 and math.prod(max(n, 1) for n in shape) <= most


def array(found: np.ndarray, begin: int, dtype: np.dtype,
          shape: tuple[int, ...]) -> np.ndarray:
  """Returns the array that begins at a byte of `content`.

  It is a view, or a copy where the bytes are not aligned as its type needs.
  """
  end = begin + dtype.itemsize * math.prod(shape)
  return np.require(
      found[begin:end].view(dtype).reshape(shape), requirements='A')


def forget(array: np.ndarray) -> None:
  """Tells the system that the pages of a file are not needed any more.

  They count as memory of the process until then. Arrays of the file stay
  usable: their pages are read again.

  Args:
    array: An array that may be a view of `content`.
  """
  base = array
  while isinstance(base, (np.ndarray, memoryview)):
    base = base.base if isinstance(base, np.ndarray) else base.obj
  if isinstance(base, mmap.mmap):
    base.madvise(mmap.MADV_DONTNEED)
