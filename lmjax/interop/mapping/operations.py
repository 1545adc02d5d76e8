"""Operations between the layout of tensors in a file and lmjax's parameters.

An operation takes some arrays and returns some arrays, and `invert` undoes it
exactly. It only moves numbers, and so it works on NumPy arrays and, to find out
the resulting shapes, on traced JAX arrays.
"""
from collections.abc import Sequence
import dataclasses
import itertools
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

Arrays = tuple[Any, ...]


class Operation(Protocol):
  """A reversible change of the layout of arrays."""

  def apply(self, arrays: Arrays) -> Arrays:
    """Returns parameters for tensors of a file."""

  def invert(self, arrays: Arrays) -> Arrays:
    """Returns tensors of a file for parameters."""


@dataclasses.dataclass(frozen=True)
class Transpose:
  """Swaps the last two axes of each array.

  PyTorch's `Linear` keeps its weight as [out, in], a Flax kernel is [in, out].

  Example:
    >>> Transpose().apply((np.zeros((2, 3)),))[0].shape
    (3, 2)
  """

  def apply(self, arrays: Arrays) -> Arrays:
    return tuple(array.swapaxes(-1, -2) for array in arrays)

  invert = apply


@dataclasses.dataclass(frozen=True)
class Split:
  """Cuts one array along an axis, such as a fused query, key and value.

  Attributes:
    sizes: The sizes of the parts; if they do not add up to the array's size,
      they are multiplied by a common factor, so (1, 1, 1) cuts into thirds.
    axis: The axis.

  Example:
    >>> q, k, v = Split((4, 1, 1)).apply((np.arange(12),))
    >>> k
    array([8, 9])
  """
  sizes: tuple[int, ...]
  axis: int = 0

  def apply(self, arrays: Arrays) -> Arrays:
    array, = arrays
    unit, rest = divmod(array.shape[self.axis], sum(self.sizes))
    if rest:
      raise ValueError(
          f'axis {self.axis} of size {array.shape[self.axis]} should divide '
          f'into {sum(self.sizes)} equal parts')
    ends = itertools.accumulate(unit * size for size in self.sizes)
    before = (slice(None),) * (self.axis % array.ndim)
    return tuple(array[*before, end - unit * size:end]
                 for end, size in zip(ends, self.sizes))

  def invert(self, arrays: Arrays) -> Arrays:
    return (_joined(arrays, self.axis),)


@dataclasses.dataclass(frozen=True)
class SplitHeads:
  """Takes apart a fused query, key and value whose rows are grouped by head.

  The first axis of the array consists of K groups of (G + 2) * H rows: H rows
  for each of the G query heads of the group, then its key, then its value. It
  is the layout of GPT-NeoX and BLOOM, where G is 1, and of Falcon-40B.

  Attributes:
    groups: The number of key heads, K.
    queries: The number of query heads of each, G.
  """
  groups: int
  queries: int = 1

  def apply(self, arrays: Arrays) -> Arrays:
    array, = arrays
    rest = array.shape[1:]
    rows, left = divmod(array.shape[0], self.groups * (self.queries + 2))
    if left:
      raise ValueError(
          f'the first axis of size {array.shape[0]} should divide into '
          f'{self.groups} groups of {self.queries + 2} heads')
    each = array.reshape(self.groups, self.queries + 2, rows, *rest)
    return tuple(each[:, part].reshape(-1, *rest) for part in (
        slice(self.queries), self.queries, self.queries + 1))

  def invert(self, arrays: Arrays) -> Arrays:
    rest = arrays[0].shape[1:]
    rows = arrays[1].shape[0] // self.groups
    parts = [array.reshape(self.groups, -1, rows, *rest) for array in arrays]
    return (_joined(parts, 1).reshape(-1, *rest),)


@dataclasses.dataclass(frozen=True)
class Stack:
  """Stacks equal arrays along a new first axis, such as those of experts."""

  def apply(self, arrays: Arrays) -> Arrays:
    return (_joined([array[None] for array in arrays], 0),)

  def invert(self, arrays: Arrays) -> Arrays:
    return tuple(arrays[0])


@dataclasses.dataclass(frozen=True)
class Reshape:
  """Changes the shape of one array.

  Attributes:
    file: The shape in the file.
    parameter: The shape of the parameter.
  """
  file: tuple[int, ...]
  parameter: tuple[int, ...]

  def apply(self, arrays: Arrays) -> Arrays:
    return tuple(_reshaped(array, self.file, self.parameter)
                 for array in arrays)

  def invert(self, arrays: Arrays) -> Arrays:
    return tuple(_reshaped(array, self.parameter, self.file)
                 for array in arrays)


@dataclasses.dataclass(frozen=True)
class Halves:
  """Reorders the rows of each head from rotary pairs to rotary halves.

  A rotation that pairs rows 2i and 2i + 1 of each head, as in Meta's Llama,
  llama.cpp and llama2.c, becomes one that pairs rows i and i + R/2, as in
  Hugging Face's files.

  Attributes:
    heads: The number of heads on the first axis.
    rotated: The number R of rows of a head that are rotated; None for all.

  Example:
    >>> Halves(heads=1).apply((np.array([0, 1, 2, 3]),))[0]
    array([0, 2, 1, 3])
  """
  heads: int
  rotated: int | None = None

  def apply(self, arrays: Arrays) -> Arrays:
    return tuple(self._reordered(array, 'ih') for array in arrays)

  def invert(self, arrays: Arrays) -> Arrays:
    return tuple(self._reordered(array, 'hi') for array in arrays)

  def _reordered(self, array, order):
    rest = array.shape[1:]
    each = array.reshape(self.heads, -1, *rest)
    turned = self.rotated or each.shape[1]
    pairs = (-1, 2) if order == 'ih' else (2, turned // 2)
    first = each[:, :turned].reshape(self.heads, *pairs, *rest)
    first = first.swapaxes(1, 2).reshape(self.heads, turned, *rest)
    return _joined([first, each[:, turned:]], 1).reshape(array.shape)


def apply(operations: Sequence[Operation], arrays: Arrays) -> Arrays:
  """Returns parameters for tensors of a file, by operations in turn."""
  for operation in operations:
    arrays = operation.apply(arrays)
  return arrays


def invert(operations: Sequence[Operation], arrays: Arrays) -> Arrays:
  """Returns tensors of a file for parameters: `apply` undone."""
  for operation in reversed(operations):
    arrays = operation.invert(arrays)
  return arrays


def _reshaped(array: Any, before: tuple[int, ...], after: tuple[int, ...]):
  if array.shape != before:
    raise ValueError(f'its shape should be {before}, not {array.shape}')
  return array.reshape(after)


def _joined(arrays: Sequence[Any], axis: int) -> Any:
  numpy = not any(isinstance(array, jax.core.Tracer) for array in arrays)
  return (np if numpy else jnp).concatenate(arrays, axis=axis)
