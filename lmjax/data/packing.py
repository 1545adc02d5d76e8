"""Packs documents of any length into rows of equal length.

All three configs make `inputs`, `targets`, `weights`, `positions` and
`segments` of shape [rows, length]; a row is a function of (seed, epoch, index).
"""
import dataclasses
import functools
from typing import Protocol

import numpy as np

from lmjax.core import errors
from lmjax.data import token_store as store_lib
from lmjax.data.tokenizers import vocabulary


class Rows(Protocol):
  """Rows that can be drawn in any order.

  Attributes:
    num_rows: Number of rows in an epoch.
  """
  num_rows: int

  def rows(self, epoch: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the rows `indices` of an epoch as arrays [len(indices), T]."""

  def documents(self, epoch: int, indices: np.ndarray) -> np.ndarray:
    """Returns the number in the store of the document of each token of rows.

    int64 [len(indices), T + 1]: documents of the inputs, then of the last
    target. -1 stands for no document: padding, special ids, and a last target
    whose weight is 0.
    """


@dataclasses.dataclass(frozen=True)
class Packed:
  """Documents packed without padding between them, each seeing only itself.

  Every epoch permutes the documents, joins them and cuts the stream into rows
  of T inputs and their targets. Segments number the documents of a row and
  positions restart with each, so attention never crosses borders; the first
  token of a document has weight 0 as the target of the token before it. All
  other tokens are predicted exactly once per epoch.

  Attributes:
    shuffle: Whether to permute documents and rows; if not, they stay in order.
  """
  shuffle: bool = True

  def build(self, store: store_lib.TokenStore, length: int, seed: int,
            tokenizer: vocabulary.Tokenizer | None = None) -> Rows:
    """Returns rows of `length` tokens of the store."""
    del tokenizer  # Plain rows hold nothing but the store's tokens.
    return _Stream(store, length, seed, self.shuffle, crosses=False)


@dataclasses.dataclass(frozen=True)
class Concatenated:
  """Documents concatenated and cut, with attention across their borders.

  The rows are the rows of `Packed` with a single segment: the tokens of a
  document also see, and are predicted from, the documents before it in the row.

  Attributes:
    shuffle: Whether to permute documents and rows; if not, they stay in order.
  """
  shuffle: bool = True

  def build(self, store: store_lib.TokenStore, length: int, seed: int,
            tokenizer: vocabulary.Tokenizer | None = None) -> Rows:
    """Returns rows of `length` tokens of the store."""
    del tokenizer  # Plain rows hold nothing but the store's tokens.
    return _Stream(store, length, seed, self.shuffle, crosses=True)


@dataclasses.dataclass(frozen=True)
class Crops:
  """Windows at random places of the whole text, as nanoGPT draws them.

  Places are uniform and independent, so an epoch, which has as many tokens as
  the text, reads some tokens several times and others never. Borders between
  documents are ignored.
  """

  def build(self, store: store_lib.TokenStore, length: int, seed: int,
            tokenizer: vocabulary.Tokenizer | None = None) -> Rows:
    """Returns rows of `length` tokens of the store."""
    del tokenizer  # Plain rows hold nothing but the store's tokens.
    return _Windows(store, length, seed)


Config = Packed | Concatenated | Crops


class _Stream:
  """Rows cut from documents that are joined in a new order each epoch."""

  def __init__(self, store: store_lib.TokenStore, length: int, seed: int,
               shuffle: bool, crosses: bool):
    _check(store, length)
    self._store, self._length, self._seed = store, length, seed
    self._shuffle, self._crosses = shuffle, crosses
    # Row r predicts stream[r T + 1 : (r + 1) T + 1]; nothing predicts the
    # first token of the stream.
    self.num_rows = -(-(store.num_tokens - 1) // length)
    self._order = functools.lru_cache(maxsize=2)(self._order)

  def _order(self, epoch: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns starts and shifts of the documents, and the order of rows.

    A document starts at `starts` in the stream, and at `starts` + `shifts` in
    the store.
    """
    offsets = np.asarray(self._store.offsets)
    if not self._shuffle:
      starts, shifts = offsets, np.zeros_like(offsets)
      return starts, shifts, np.arange(self.num_rows)
    random = _generator(self._seed, epoch)
    documents = random.permutation(self._store.num_documents)
    starts = np.zeros_like(offsets)
    np.cumsum(np.diff(offsets)[documents], out=starts[1:])
    shifts = np.zeros_like(offsets)  # The last one is for padding.
    shifts[:-1] = offsets[documents] - starts[:-1]
    return starts, shifts, random.permutation(self.num_rows)

  def rows(self, epoch: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    """See `Rows`."""
    return self._cut(epoch, indices)[1]

  def documents(self, epoch: int, indices: np.ndarray) -> np.ndarray:
    """See `Rows`."""
    return owners(self._store, *self._cut(epoch, indices))

  def _cut(self, epoch: int, indices: np.ndarray
           ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns the places of the rows' tokens in the store, and the rows.

    A few vector operations do the work for any number of documents. A row of
    T + 1 tokens consists of pieces, each a part of one document; the numbers of
    a piece are repeated over its tokens.
    """
    starts, shifts, order = self._order(epoch)
    span = self._length + 1
    low = order[indices].astype(np.int64) * self._length
    total = self._store.num_tokens

    first = np.searchsorted(starts, low, side='right') - 1
    last = np.searchsorted(starts, low + span - 1, side='right') - 1
    num_pieces = last - first + 1
    row = np.repeat(np.arange(len(low)), num_pieces)
    before = np.cumsum(num_pieces) - num_pieces
    rank = np.arange(len(row)) - before[row]
    document = first[row] + rank
    begin = np.maximum(starts[document], low[row]) - low[row]
    ends = np.append(begin[1:], 0)
    ends[before + num_pieces - 1] = span
    lengths = ends - begin

    column = np.tile(np.arange(span, dtype=np.int32), len(low))
    place = np.repeat(shifts[document] + low[row], lengths) + column
    segments = np.repeat((rank + 1).astype(np.int32), lengths)
    positions = column
    if not self._crosses:
      positions = column - np.repeat(begin.astype(np.int32), lengths)
    is_last = low.max(initial=0) + span > total
    if is_last:  # The only row that padding may fill.
      is_pad = np.repeat(document == len(starts) - 1, lengths)
      place[is_pad] = segments[is_pad] = positions[is_pad] = 0
    tokens = self._store.tokens[place].astype(np.int32)
    if is_last:
      tokens[is_pad] = 0
    place, tokens, segments, positions = (
        x.reshape(-1, span) for x in (place, tokens, segments, positions))
    if self._crosses:
      segments = np.minimum(segments, 1)
    weights = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)
    return place, _batch(tokens, weights, positions, segments)


class _Windows:
  """Rows at random places; the places of an epoch are drawn together."""

  def __init__(self, store: store_lib.TokenStore, length: int, seed: int):
    _check(store, length)
    self._store, self._length, self._seed = store, length, seed
    self.num_rows = -(-store.num_tokens // length)
    self._places = functools.lru_cache(maxsize=2)(self._places)

  def _places(self, epoch: int) -> np.ndarray:
    return _generator(self._seed, epoch).integers(
        self._store.num_tokens - self._length, size=self.num_rows)

  def rows(self, epoch: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    """See `Rows`."""
    place = self._places(epoch)[indices][:, None] + np.arange(self._length + 1)
    tokens = self._store.tokens[place].astype(np.int32)
    positions = np.broadcast_to(
        np.arange(self._length + 1, dtype=np.int32), tokens.shape)
    weights = np.ones((len(tokens), self._length), np.float32)
    return _batch(tokens, weights, positions, np.ones_like(tokens))

  def documents(self, epoch: int, indices: np.ndarray) -> np.ndarray:
    """See `Rows`."""
    place = self._places(epoch)[indices][:, None] + np.arange(self._length + 1)
    return owners(self._store, place, self.rows(epoch, indices))


def owners(store: store_lib.TokenStore, places: np.ndarray,
           batch: dict[str, np.ndarray]) -> np.ndarray:
  """Returns the document of each token of a batch; see `Rows.documents`.

  Args:
    store: The store of the tokens.
    places: Place of each token in the store, [B, T + 1].
    batch: The rows, whose segments and weights mark padding.
  """
  real = np.concatenate(
      [batch['segments'] > 0, batch['weights'][:, -1:] > 0], axis=1)
  found = np.searchsorted(np.asarray(store.offsets), places, side='right') - 1
  return np.where(real, found, -1)


def _batch(tokens, weights, positions, segments) -> dict[str, np.ndarray]:
  """Returns rows of T inputs and T targets from rows of T + 1 tokens."""
  return {
      'inputs': np.ascontiguousarray(tokens[:, :-1]),
      'targets': np.ascontiguousarray(tokens[:, 1:]),
      'weights': np.ascontiguousarray(weights, np.float32),
      'positions': np.ascontiguousarray(positions[:, :-1]),
      'segments': np.ascontiguousarray(segments[:, :-1])}


def _check(store: store_lib.TokenStore, length: int) -> None:
  if length < 1:
    raise errors.InputError(f'length should be at least 1; got {length}.')
  if store.num_tokens <= length:
    raise errors.InputError(
        f'length={length} is longer than the data: the split has '
        f'{store.num_tokens} tokens; a row needs {length + 1}. Shorten length '
        '(the context) or give more text.')


def _generator(seed: int, epoch: int) -> np.random.Generator:
  """Returns a counter-based generator, a function of (seed, epoch)."""
  sequence = np.random.SeedSequence([seed, epoch])
  return np.random.Generator(np.random.Philox(sequence))
