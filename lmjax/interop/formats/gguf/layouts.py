"""How llama.cpp rearranges weights of Hugging Face's, and the way back.

Each layout is a reversible rearrangement of one tensor. `gguf` is applied when
a file is written, and `hf` when it is read.
"""
import dataclasses

import numpy as np

from lmjax.interop.mapping import operations

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Heads:
  """The numbers of heads.

  Attributes:
    query: Query heads.
    key: Key and value heads.
  """
  query: int
  key: int


@dataclasses.dataclass(frozen=True)
class Same:
  """The tensor is the same in both."""

  def shape(self, shape: Shape) -> Shape:
    """Returns the shape of the tensor in the other layout."""
    return shape

  def rows(self, heads: Heads) -> int:
    """Returns a number that the number of rows is a multiple of."""
    return 1

  def hf(self, x: np.ndarray, heads: Heads) -> np.ndarray:
    """Returns the tensor as Hugging Face stores it."""
    return x

  def gguf(self, x: np.ndarray, heads: Heads) -> np.ndarray:
    """Returns the tensor as llama.cpp stores it."""
    return x


@dataclasses.dataclass(frozen=True)
class Transposed(Same):
  """A matrix that Hugging Face stores as [in, out], as in GPT-2."""

  def shape(self, shape: Shape) -> Shape:
    return shape[::-1]

  def hf(self, x: np.ndarray, heads: Heads) -> np.ndarray:
    return x.T

  gguf = hf


@dataclasses.dataclass(frozen=True)
class PlusOne(Same):
  """The scale of a norm that multiplies by 1 + w; llama.cpp stores 1 + w."""

  def hf(self, x: np.ndarray, heads: Heads) -> np.ndarray:
    return x.astype(np.float32) - np.float32(1)

  def gguf(self, x: np.ndarray, heads: Heads) -> np.ndarray:
    return x.astype(np.float32) + np.float32(1)


@dataclasses.dataclass(frozen=True)
class RopeRows(Same):
  """Rows of a projection to queries or keys, whose dimensions rope rotates.

  Rope rotates pairs of dimensions of each head. In Hugging Face's files
  dimension i belongs to i + H / 2; llama.cpp stores the two side by side.

  Attributes:
    keys: Whether they are keys rather than queries.
  """
  keys: bool = False

  def rows(self, heads: Heads) -> int:
    return 2 * self._count(heads)

  def hf(self, x: np.ndarray, heads: Heads) -> np.ndarray:
    return operations.Halves(self._count(heads)).apply((x,))[0]

  def gguf(self, x: np.ndarray, heads: Heads) -> np.ndarray:
    return operations.Halves(self._count(heads)).invert((x,))[0]

  def _count(self, heads):
    return heads.key if self.keys else heads.query


@dataclasses.dataclass(frozen=True)
class Grouped(Same):
  """Rows of a projection to queries, keys and values at once.

  Hugging Face's rows are grouped by key head: the queries that share it, the
  key, the value. llama.cpp stores all queries, then all keys, then all values.
  """

  def rows(self, heads: Heads) -> int:
    return heads.query + 2 * heads.key

  def hf(self, x: np.ndarray, heads: Heads) -> np.ndarray:
    parts = operations.Split((heads.query, heads.key, heads.key)).apply((x,))
    return self._split(heads).invert(parts)[0]

  def gguf(self, x: np.ndarray, heads: Heads) -> np.ndarray:
    return np.concatenate(self._split(heads).apply((x,)))

  def _split(self, heads):
    return operations.SplitHeads(heads.key, heads.query // heads.key)
