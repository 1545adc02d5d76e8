"""Fast conversion of arrays on the host: to float32, and to row-major order."""
import ml_dtypes
import numpy as np

_BLOCK = 16  # Rows that fit into the cache with what they are copied to.


def float32(array: np.ndarray) -> np.ndarray:
  """Returns an array as float32; the argument itself if it is that already.

  Example:
    >>> float32(np.array([1.5, -2.0], ml_dtypes.bfloat16))
    array([ 1.5, -2. ], dtype=float32)
  """
  if array.dtype != ml_dtypes.bfloat16:
    return np.asarray(array, np.float32)
  wide = array.view(np.uint16).astype(np.uint32)  # Its first 16 bits.
  wide <<= 16
  return wide.view(np.float32)


def contiguous(array: np.ndarray) -> np.ndarray:
  """Returns an array in row-major order; the argument itself if it is.

  NumPy copies a transposed matrix element by element, and so reads or writes
  most of the memory several times; this copies a few rows at a time.
  """
  if array.flags.c_contiguous or array.ndim < 2:
    return np.ascontiguousarray(array)
  made = np.empty(array.shape, array.dtype)
  for index in np.ndindex(array.shape[:-2]):
    for start in range(0, array.shape[-1], _BLOCK):
      part = ..., slice(start, start + _BLOCK)
      made[index][part] = array[index][part]
  return made


def finite(array: np.ndarray) -> bool:
  """Returns whether all numbers of an array are finite."""
  flat = array.reshape(-1) if array.flags.c_contiguous else array
  with np.errstate(over='ignore', invalid='ignore'):
    if flat.ndim == 1 and np.isfinite(np.dot(flat, flat)):
      return True  # Ten times as fast.
  return bool(np.isfinite(flat).all())
