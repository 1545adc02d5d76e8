"""Fast conversion of arrays on the host, to float32 in row-major order."""
import numpy as np

_BLOCK = 16  # Columns that fit into the cache with what they are copied to.


def float32(array: np.ndarray) -> np.ndarray:
  """Returns a new array with the numbers of another, float32 and row-major.

  NumPy copies a transposed matrix element by element, and so reads or writes
  most of the memory several times; this copies a few columns at a time, and
  needs no memory besides the result.

  Args:
    array: An array of any numbers, also bfloat16, in any order.
  """
  made = np.empty(array.shape, np.float32)
  if array.flags.c_contiguous or array.ndim < 2:
    made[...] = array
    return made
  for index in np.ndindex(array.shape[:-2]):
    for start in range(0, array.shape[-1], _BLOCK):
      part = ..., slice(start, start + _BLOCK)
      # The columns are rows of what was transposed, which convert fast.
      made[index][part] = array[index][part].T.astype(np.float32).T
  return made


def finite(array: np.ndarray) -> bool:
  """Returns whether all numbers of a row-major float32 array are finite."""
  flat = array.reshape(-1)
  with np.errstate(over='ignore', invalid='ignore'):
    if np.isfinite(np.dot(flat, flat)):
      return True  # Ten times as fast.
  return bool(np.isfinite(flat).all())
