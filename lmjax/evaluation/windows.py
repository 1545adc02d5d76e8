"""Cuts documents into rows in which every token is scored exactly once."""
from collections.abc import Iterable, Iterator, Sequence
import dataclasses
from typing import ClassVar, NamedTuple, Protocol

import numpy as np

from lmjax.core import errors

_POOL_TOKENS = 1 << 20  # Tokens packed together; bounds the memory used.


class Lay(Protocol):
  """Lays documents out as batches that score each token exactly once.

  A batch has the fields of `Windows`.

  Attributes:
    context: Most tokens that a prediction sees; None if there is no limit.
    stride: Tokens by which windows move over long documents; None if they do
      not overlap.
    note: Sentence for the report, or ''.
  """
  context: int | None
  stride: int | None
  note: str

  def __call__(self, documents: Iterable[Sequence[int]]
               ) -> Iterable[dict[str, np.ndarray]]:
    """Returns the batches of documents, each a sequence of token ids."""


class Piece(NamedTuple):
  """A part of one document: n inputs and n targets.

  Attributes:
    tokens: n + 1 ids; the inputs are the first n, the targets the last n.
    unscored: Number of targets at the start that are context only.
    document: Number of the document, or of another unit that is scored.
    start: Place in the document at which the piece begins.
  """
  tokens: np.ndarray
  unscored: int
  document: int
  start: int = 0


def cut(documents: Iterable[Sequence[int]], context: int,
        stride: int) -> Iterator[Piece]:
  """Yields pieces that score all tokens after a document's first exactly once.

  The first piece scores up to `context` tokens; each further one starts
  `stride` tokens later and scores the tokens after its predecessor's. A scored
  token therefore sees all tokens before it, or at least `context - stride + 1`.
  """
  for number, tokens in enumerate(documents):
    tokens = np.asarray(tokens)
    start = unscored = 0
    while start + unscored < len(tokens) - 1:
      yield Piece(
          tokens[start:start + context + 1], unscored, number, start)
      start, unscored = start + stride, context - stride


def pack(lengths: np.ndarray, capacity: int) -> tuple[np.ndarray, ...]:
  """Packs lengths into rows of `capacity` by best fit, longest first.

  Returns:
    For each length its row, its offset in that row, and its number in that row,
    counted from 1: arrays of integers.
  """
  row, offset, number = np.zeros((3, len(lengths)), np.int64)
  rooms = [[] for _ in range(capacity + 1)]  # Rows by the room left in them.
  filled, some = [], 0  # Pieces in each row; bit r says if rooms[r] has a row.
  for i in np.argsort(-lengths, kind='stable').tolist():
    length = int(lengths[i])
    fitting = some >> length
    if fitting:
      room = length + (fitting & -fitting).bit_length() - 1
      r = rooms[room].pop()
      if not rooms[room]:
        some ^= 1 << room
    else:
      room, r = capacity, len(filled)
      filled.append(0)
    filled[r] += 1
    row[i], offset[i], number[i] = r, capacity - room, filled[r]
    if room > length:
      rooms[room - length].append(r)
      some |= 1 << (room - length)
  return row, offset, number


def rows(pieces: Sequence[Piece], length: int,
         packed: bool = True) -> dict[str, np.ndarray]:
  """Lays pieces out as arrays of shape [rows, length].

  Args:
    pieces: Pieces of at most `length` inputs each.
    length: Tokens in a row.
    packed: Whether pieces may share a row, in separate segments. A model that
      respects segments and positions scores them as in separate rows.

  Returns:
    The fields of a batch; `seen`, the number of tokens that each prediction
    sees; `documents`, the number of the document of each token; and `places`,
    the place of each target in its document.
  """
  sizes = np.array([len(piece.tokens) - 1 for piece in pieces])
  unscored = np.array([piece.unscored for piece in pieces])
  documents = np.array([piece.document for piece in pieces])
  starts = np.array([piece.start for piece in pieces])
  if packed:
    row, offset, number = pack(sizes, length)
  else:
    row = np.arange(len(pieces))
    offset, number = np.zeros_like(row), np.ones_like(row)
  tokens = np.concatenate([piece.tokens for piece in pieces])
  within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
  source = np.repeat(np.cumsum(sizes + 1) - sizes - 1, sizes) + within
  place = np.repeat(row * length + offset, sizes) + within
  columns = {
      'inputs': tokens[source],
      'targets': tokens[source + 1],
      'weights': (within >= np.repeat(unscored, sizes)).astype(np.float32),
      'positions': within,
      'seen': within + 1,
      'segments': np.repeat(number, sizes),
      'documents': np.repeat(documents, sizes),
      'places': np.repeat(starts, sizes) + within + 1,
  }
  out = {}
  for name, values in columns.items():
    kind = np.float32 if name == 'weights' else np.int32
    out[name] = np.zeros((row.max() + 1) * length, kind)
    out[name][place] = values
    out[name] = out[name].reshape(-1, length)
  return out


def batches(pieces: Iterable[Piece], length: int, batch_size: int,
            packed: bool = True) -> Iterator[dict[str, np.ndarray]]:
  """Yields batches of one shape, [batch_size, length], that hold all pieces.

  The last batch is filled up with rows of padding (segment 0, weight 0). Which
  pieces share a row does not depend on `batch_size`.
  """
  left = None
  for pool in _pools(pieces, None if packed else length):
    laid = rows(pool, length, packed)
    if left is not None:
      laid = {k: np.concatenate([left[k], v]) for k, v in laid.items()}
    whole = len(laid['inputs']) // batch_size * batch_size
    for start in range(0, whole, batch_size):
      yield {k: v[start:start + batch_size] for k, v in laid.items()}
    left = {k: v[whole:] for k, v in laid.items()}
  if left is not None and len(left['inputs']):
    missing = batch_size - len(left['inputs'])
    yield {k: np.pad(v, ((0, missing), (0, 0))) for k, v in left.items()}


def _pools(pieces: Iterable[Piece],
           row: int | None) -> Iterator[list[Piece]]:
  """Yields pieces in lists that fill a million tokens, or `row` tokens each."""
  pool, tokens = [], 0
  for piece in pieces:
    pool.append(piece)
    tokens += row or len(piece.tokens)
    if tokens >= _POOL_TOKENS:
      yield pool
      pool, tokens = [], 0
  if pool:
    yield pool


@dataclasses.dataclass(frozen=True)
class Windows:
  """Documents as batches that score each token exactly once.

  Iterating yields dicts of arrays of one fixed shape [batch_size, context]:
  `inputs`, `targets`, `weights` (1 for a scored target, otherwise 0),
  `positions` (from 0 in each window), `segments` (1, 2, ... in a row, 0 for
  padding), `seen` (the number of tokens that a prediction sees), `documents`
  (the number of a token's document) and `places` (the place of the target in
  its document).

  Attributes:
    documents: Sequences of token ids. The first token of each is never a
      target: it is BOS or has no token before it.
    context: Most tokens that a prediction sees, and the length of a row.
    stride: Tokens by which a long document's window moves, 1 to `context`. A
      smaller stride is slower and gives each token more context: at least
      `context - stride + 1` tokens, or all tokens before it.
    batch_size: Rows in a batch.
    packed: Whether short documents share rows, in separate segments.
  """
  documents: Iterable[Sequence[int]]
  context: int
  stride: int
  batch_size: int = 8
  packed: bool = True

  def __post_init__(self):
    for field in ('context', 'batch_size'):
      if getattr(self, field) < 1:
        raise errors.InputError(
            f'{field} should be at least 1; got {getattr(self, field)}.')
    if not 1 <= self.stride <= self.context:
      raise errors.InputError(
          f'stride should be from 1 to the context, {self.context}, so that no '
          f'token is left out; got {self.stride}.')

  def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
    pieces = cut(self.documents, self.context, self.stride)
    return batches(pieces, self.context, self.batch_size, self.packed)


@dataclasses.dataclass(frozen=True)
class Layout:
  """Lays documents out as `Windows`, whose fields these are."""
  context: int
  stride: int
  batch_size: int = 8
  packed: bool = True

  note: ClassVar = ''

  def __call__(self, documents: Iterable[Sequence[int]]) -> Windows:
    return Windows(documents, self.context, self.stride, self.batch_size,
                   self.packed)
