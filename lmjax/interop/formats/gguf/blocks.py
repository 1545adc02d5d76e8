"""How GGUF stores numbers: as floats, or quantised in blocks along a row.

A block of a quantised type holds 32 or 256 weights of one row, as small
integers and the scale or scales that turn them into numbers. The arithmetic is
in the library `gguf`, which is needed for quantised types only.
"""
import dataclasses
import math

import ml_dtypes
import numpy as np

from lmjax.core import errors
from lmjax.interop.formats import mapped

_CHUNK = 1 << 16  # Weights that are dequantised at once; fits into the cache.


@dataclasses.dataclass(frozen=True)
class Type:
  """A type of elements.

  Attributes:
    name: Its name, such as 'Q4_1'.
    number: The number that stands for it in a file.
    weights: The number of weights in a block.
    bytes: The size of a block.
    dtype: The type of a float; None for a quantised type.
  """
  name: str
  number: int
  weights: int
  bytes: int
  dtype: np.dtype | None = None

  def size(self, shape: tuple[int, ...]) -> int:
    """Returns the number of bytes that a tensor takes."""
    return math.prod(shape) // self.weights * self.bytes


TYPES = {each.number: each for each in (
    Type('F32', 0, 1, 4, np.dtype('<f4')),
    Type('F16', 1, 1, 2, np.dtype('<f2')),
    Type('BF16', 30, 1, 2, np.dtype(ml_dtypes.bfloat16)),
    Type('Q4_0', 2, 32, 18), Type('Q4_1', 3, 32, 20),
    Type('Q5_0', 6, 32, 22), Type('Q5_1', 7, 32, 24),
    Type('Q8_0', 8, 32, 34),
    Type('Q4_K', 12, 256, 144), Type('Q5_K', 13, 256, 176),
    Type('Q6_K', 14, 256, 210))}
BY_NAME = {each.name: each for each in TYPES.values()}


def read(data: np.ndarray, kind: Type, shape: tuple[int, ...]) -> np.ndarray:
  """Returns a tensor of the given shape; quantised weights become float32.

  Args:
    data: The bytes of the tensor, uint8.
    kind: The type of its elements.
    shape: Its shape; a quantised row is a whole number of blocks.
  """
  if kind.dtype is not None:
    return mapped.array(data, 0, kind.dtype, shape)
  quants = _library()
  number = quants.GGMLQuantizationType(kind.number)
  out = np.empty(math.prod(shape), np.float32)
  step = _CHUNK // kind.weights * kind.bytes
  with np.errstate(over='ignore', invalid='ignore'):  # A scale may be inf.
    for start in range(0, data.size, step):
      weights = quants.dequantize(data[None, start:start + step], number)[0]
      first = start // kind.bytes * kind.weights
      out[first:first + weights.size] = weights
  return out.reshape(shape)


def written(array: np.ndarray, kind: Type) -> bytes:
  """Returns the bytes of a tensor of numbers as elements of a type."""
  array = np.ascontiguousarray(array)
  if kind.dtype is not None:
    return array.astype(kind.dtype, copy=False).tobytes()
  quants = _library()
  rows = array.astype(np.float32, copy=False).reshape(-1, array.shape[-1])
  step = max(1, _CHUNK // array.shape[-1])
  number = quants.GGMLQuantizationType(kind.number)
  return b''.join(
      quants.quantize(rows[start:start + step], number).tobytes()
      for start in range(0, len(rows), step))


def refusal(number: int) -> str:
  """Returns what to say of a type that is not read."""
  try:
    name = _library().GGMLQuantizationType(number).name
  except (errors.InputError, ValueError):
    name = f'number {number}'
  return (f'type {name}, which is not read; convert the file to one of '
          f'{", ".join(BY_NAME)}')


def _library():
  try:
    import gguf
  except ImportError as error:
    raise errors.InputError(
        'Quantised weights are read by the library gguf, which is not '
        "installed. Install it with: pip install 'lmjax[gguf]'") from error
  return gguf
