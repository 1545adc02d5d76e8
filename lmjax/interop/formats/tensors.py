"""Tensors in a file: known by name, shape and dtype, and read one at a time.

Every format in this room opens a file as a mapping from names to `Tensor`.
Opening reads only what describes the tensors, so that it costs neither time nor
memory for those that are not asked for.
"""
from collections.abc import Callable, Mapping
import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Tensor:
  """A tensor in a file.

  Attributes:
    shape: Its shape, in row-major order.
    dtype: The name of its element type in the file's format, such as 'F32',
      'BF16' or 'Q4_1'.
    read: Function that reads the tensor and returns an array of this shape.
      Numbers keep their type; bfloat16 is `ml_dtypes.bfloat16`, and quantised
      numbers become float32. The array may be a read-only view of the file.
  """
  shape: tuple[int, ...]
  dtype: str
  read: Callable[[], np.ndarray] = dataclasses.field(repr=False)

  @property
  def size(self) -> int:
    """The number of elements."""
    return math.prod(self.shape)

  @classmethod
  def of(cls, array: np.ndarray) -> 'Tensor':
    """Returns an array in memory as a tensor."""
    return cls(array.shape, str(array.dtype), lambda: array)


Tensors = Mapping[str, Tensor]
