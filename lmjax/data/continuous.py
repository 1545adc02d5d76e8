"""Rows that continue the rows of the step before, for carried states."""
import dataclasses

import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data import packing
from lmjax.data import token_store as store_lib
from lmjax.data.tokenizers import vocabulary


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Continuous:
  """The text as parallel streams, of which a step reads the next T tokens.

  The documents, joined in order, are cut into `streams` parts of equal length.
  Row i of step s holds T tokens of part i from token s T on, so a model that
  carries its state from step to step reads every document without a break.
  Every token except the first of a document is predicted once per epoch.

  Positions count from the start of the document, or of the part if that is
  later; a new state begins at position 0, and at every epoch. Segments number
  the documents of a row; the end of each part is padded to a whole row.

  Attributes:
    streams: Number of streams, which should equal the data's `batch_size`.

  References:
    Mikolov et al., Recurrent neural network based language model, 2010, section
    2 (truncated backpropagation through time).
  """
  streams: ranges.Count = 20

  def check(self, batch_size: int) -> None:
    """Checks that a batch has one row for each stream."""
    if batch_size != self.streams:
      raise errors.InputError(
          f'Continuous.streams is {self.streams}, but batch_size is '
          f'{batch_size}: every stream is one row of each batch, so make them '
          'the same.')

  def build(self, store: store_lib.TokenStore, length: int, seed: int,
            tokenizer: vocabulary.Tokenizer | None = None) -> packing.Rows:
    """Returns rows of `length` tokens of the store; the seed has no effect."""
    del seed, tokenizer
    return _Streams(store, length, self.streams)


class _Streams:
  """Row s * streams + i of every epoch is step s of stream i."""

  def __init__(self, store: store_lib.TokenStore, length: int, streams: int):
    self._store, self._length, self._streams = store, length, streams
    pairs = store.num_tokens - 1  # Pairs of an input and its target.
    self._part = -(-pairs // streams)
    if length < 1:
      raise errors.InputError(f'length should be at least 1; got {length}.')
    if (streams - 1) * self._part >= pairs:
      raise errors.InputError(
          f'Continuous.streams is {streams}, but the split has only '
          f'{store.num_tokens} tokens; use fewer streams or give more text.')
    self.num_rows = -(-self._part // length) * streams

  def rows(self, epoch: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    """See `packing.Rows`; all epochs are equal."""
    del epoch
    return self._cut(indices)[1]

  def documents(self, epoch: int, indices: np.ndarray) -> np.ndarray:
    """See `packing.Rows`."""
    del epoch
    return packing.owners(self._store, *self._cut(indices))

  def _cut(self, indices: np.ndarray
           ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns the places of the rows' tokens in the store, and the rows."""
    step, stream = np.divmod(np.asarray(indices, np.int64), self._streams)
    column = np.arange(self._length + 1)
    within = (step * self._length)[:, None] + column  # Place in the part.
    begin = (stream * self._part)[:, None]
    place = begin + within
    last = self._store.num_tokens - 1
    # The pair at a place belongs to the part where its input lies.
    real = (within < self._part) & (place < last)
    place = np.minimum(place, last)

    offsets = np.asarray(self._store.offsets)
    document = np.searchsorted(offsets, place, side='right') - 1
    tokens = self._store.tokens[place].astype(np.int32)
    real = real[:, :-1]
    weights = real & (document[:, 1:] == document[:, :-1])
    positions = place - np.maximum(offsets[document], begin)
    segments = document - document[:, :1] + 1
    return place, {
        'inputs': np.where(real, tokens[:, :-1], 0),
        'targets': np.where(real, tokens[:, 1:], 0),
        'weights': weights.astype(np.float32),
        'positions': np.where(real, positions[:, :-1], 0).astype(np.int32),
        'segments': np.where(real, segments[:, :-1], 0).astype(np.int32)}
