"""Rows taken apart into their texts, rearranged, and laid out as rows again.

A corruption is a list of chunks: which stretch of the old tokens, or which
special id, comes next in which text. Whatever a row says is then somewhere in
its chunks, and a batch takes a few vector operations however many texts it has.
"""
from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

_TAG = 0xC0  # Keeps these draws apart from those that order the rows.


@dataclasses.dataclass(frozen=True)
class Texts:
  """Texts one after the other, P of them, in the order of their rows.

  Attributes:
    tokens: The ids of all, 1-D.
    lengths: How many each text has, [P].
    rows: The row of the batch each is from, [P].
    segments: Its segment in that row, [P].
  """
  tokens: np.ndarray
  lengths: np.ndarray
  rows: np.ndarray
  segments: np.ndarray

  @property
  def offsets(self) -> np.ndarray:
    """Where each text begins in `tokens`, [P]."""
    return np.cumsum(self.lengths) - self.lengths

  def in_row(self, values: np.ndarray) -> np.ndarray:
    """Returns for each text the sum of `values` over those before it in its
    row, [P]."""
    before = np.cumsum(values) - values
    first = np.searchsorted(self.rows, self.rows)
    return before - before[first]


def of_rows(batch: dict[str, np.ndarray], last: bool = False) -> Texts:
  """Returns the texts in the inputs of a batch, by rows and segments.

  Args:
    batch: `inputs`, `targets`, `weights` and `segments`, [B, T].
    last: Whether the target of a row's last token belongs to its text, where
      it counts.
  """
  tokens, segments = batch['inputs'], batch['segments']
  if last:
    goes_on = batch['weights'][:, -1:] > 0
    tokens = np.concatenate([tokens, batch['targets'][:, -1:]], axis=1)
    segments = np.concatenate(
        [segments, np.where(goes_on, segments[:, -1:], 0)], axis=1)
  real = segments > 0
  rows = np.broadcast_to(np.arange(len(tokens))[:, None], tokens.shape)[real]
  tokens, segments = tokens[real], segments[real]
  begins = np.flatnonzero(
      (np.diff(rows, prepend=-1) != 0) | (np.diff(segments, prepend=-1) != 0))
  return Texts(tokens, np.diff(begins, append=len(tokens)), rows[begins],
               segments[begins])


class Draws:
  """Random numbers of each row, a function of (seed, epoch, index) alone.

  Every draw takes as many numbers from a row's generator whatever the other
  rows are, and none where the row takes no part.
  """

  def __init__(self, seed: int, epoch: int, indices: Sequence[int],
               width: int):
    """Begins the generators of rows that ask for at most `width` at once."""
    self._width = width
    self._generators = [
        np.random.Generator(np.random.PCG64(
            np.random.SeedSequence([seed, epoch, int(index), _TAG])))
        for index in indices]

  def of_rows(self) -> np.ndarray:
    """Returns one number in [0, 1) for every row, [B]."""
    return np.array([g.random() for g in self._generators])

  def each(self, texts: Texts, lengths: np.ndarray | None = None) -> np.ndarray:
    """Returns a number for every token of every text, in one 1-D array.

    Args:
      texts: The texts.
      lengths: How many numbers each gets instead of its length, [P].
    """
    lengths = texts.lengths if lengths is None else lengths
    rows, row = np.unique(texts.rows, return_inverse=True)
    u = np.array([self._generators[i].random(self._width) for i in rows])
    column = np.repeat(texts.in_row(lengths), lengths) + arange(lengths)
    return u.reshape(-1, self._width)[np.repeat(row, lengths), column]

  def of_texts(self, texts: Texts) -> np.ndarray:
    """Returns one number a text, [P]."""
    return self.each(texts, np.ones_like(texts.lengths))


def arange(lengths: np.ndarray) -> np.ndarray:
  """Returns 0, 1, ... for each of the lengths, joined.

  Example:
    >>> arange(np.array([3, 0, 2])).tolist()
    [0, 1, 2, 0, 1]
  """
  starts = np.cumsum(lengths) - lengths
  return np.arange(lengths.sum()) - np.repeat(starts, lengths)


@dataclasses.dataclass(frozen=True)
class Chunks:
  """Stretches of a buffer in the order in which they make new texts.

  Attributes:
    starts: Where each begins in the buffer, [C].
    lengths: How long each is, [C].
    texts: Which text each belongs to, [C].
  """
  starts: np.ndarray
  lengths: np.ndarray
  texts: np.ndarray

  @classmethod
  def of(cls, texts: np.ndarray, *parts: tuple) -> 'Chunks':
    """Returns the same parts for each text: pairs (starts, lengths)."""
    shape = (len(texts), len(parts))
    starts, lengths = (
        np.stack([np.broadcast_to(part[i], shape[:1]) for part in parts], 1)
        for i in range(2))
    return cls(starts.ravel(), lengths.ravel(), np.repeat(texts, len(parts)))

  def join(self, *others: 'Chunks') -> 'Chunks':
    """Returns all chunks, those of a text in the order given."""
    parts = (self, *others)
    texts = np.concatenate([part.texts for part in parts])
    order = np.argsort(texts, kind='stable')
    return Chunks(
        np.concatenate([part.starts for part in parts])[order],
        np.concatenate([part.lengths for part in parts])[order], texts[order])

  def read(self, buffer: np.ndarray, like: Texts) -> Texts:
    """Returns the texts that the chunks spell out of the buffer."""
    place = np.repeat(self.starts, self.lengths) + arange(self.lengths)
    lengths = np.bincount(
        self.texts, self.lengths, len(like.lengths)).astype(np.int64)
    return dataclasses.replace(like, tokens=buffer[place], lengths=lengths)


def stripped(texts: Texts, bos_id: int | None, eos_id: int | None
             ) -> tuple[np.ndarray, np.ndarray, Texts]:
  """Returns whether each text begins with BOS, ends in EOS, and its rest."""
  first = texts.tokens[texts.offsets]
  last = texts.tokens[texts.offsets + texts.lengths - 1]
  begins = first == (-1 if bos_id is None else bos_id)
  ends = (last == (-1 if eos_id is None else eos_id)) & (
      texts.lengths > begins)
  rest = Chunks.of(
      np.arange(len(first)),
      (texts.offsets + begins, texts.lengths - begins - ends))
  return begins, ends, rest.read(texts.tokens, texts)


def pairs(source: Texts, target: Texts, num_rows: int,
          sizes: 'Sizes') -> dict[str, np.ndarray]:
  """Returns a batch for an encoder-decoder.

  Args:
    source: What the encoder reads.
    target: What the decoder reads and predicts, but for the first id, which is
      given; empty where there is nothing to predict.
    num_rows: Rows of the batch.
    sizes: Tokens a row.
  """
  read = _laid(source, num_rows, sizes.source, {'inputs': source.tokens})
  return {f'encoder_{name}': read[name] for name in (
      'inputs', 'positions', 'segments')} | plain(
          source, target, num_rows, dataclasses.replace(
              sizes, joined=sizes.target))


def plain(source: Texts, target: Texts, num_rows: int,
          sizes: 'Sizes') -> dict[str, np.ndarray]:
  """Returns a batch that predicts each token of the targets but the first."""
  del source
  ends = np.cumsum(target.lengths)[target.lengths > 0]
  is_input = np.ones(len(target.tokens), bool)
  is_input[ends - 1] = False
  is_target = np.ones(len(target.tokens), bool)
  is_target[(ends - target.lengths[target.lengths > 0])] = False
  shorter = dataclasses.replace(
      target, lengths=np.maximum(target.lengths - 1, 0))
  return _laid(shorter, num_rows, sizes.joined, {
      'inputs': target.tokens[is_input], 'targets': target.tokens[is_target],
      'weights': np.ones(is_input.sum(), np.float32)})


def joined(source: Texts, target: Texts, num_rows: int,
           sizes: 'Sizes') -> dict[str, np.ndarray]:
  """Returns a batch for a decoder alone: source and target in one text.

  Weights are on the targets, and `prefix` is True for the source. A source of
  one token without a target, which leaves nothing to predict, is left out.
  """
  index = np.arange(len(source.lengths))
  chunks = Chunks.of(
      index, (source.offsets, source.lengths),
      (len(source.tokens) + target.offsets, target.lengths))
  whole = chunks.read(np.concatenate([source.tokens, target.tokens]), source)
  batch = plain(source, whole, num_rows, sizes)
  count = np.maximum(whole.lengths - 1, 0)
  place, read = arange(count), np.repeat(source.lengths, count)
  # The target after the last of the source is the id that is given.
  counts = (place >= read) & np.repeat(target.lengths > 0, count)
  flags = _laid(dataclasses.replace(source, lengths=count), num_rows,
                sizes.joined, {'prefix': place < read, 'weights': counts})
  return batch | {
      'prefix': flags['prefix'], 'weights': flags['weights'].astype(np.float32)}


def _laid(texts: Texts, num_rows: int, length: int,
          values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns values by token as arrays [num_rows, length], with positions and
  segments."""
  before = texts.in_row(texts.lengths)
  if len(before) and (before + texts.lengths).max() > length:
    raise RuntimeError(  # The sizes promised that this cannot be.
        f'A row of {(before + texts.lengths).max()} tokens exceeds {length}.')
  positions = arange(texts.lengths)
  place = np.repeat(texts.rows * length + before, texts.lengths) + positions
  columns = values | {
      'positions': positions,
      'segments': np.repeat(texts.segments, texts.lengths)}
  out = {}
  for name, column in columns.items():
    kind = column.dtype if column.dtype in (bool, np.float32) else np.int32
    flat = np.zeros(num_rows * length, kind)
    flat[place] = column
    out[name] = flat.reshape(num_rows, length)
  return out


@dataclasses.dataclass(frozen=True)
class Sizes:
  """Tokens a row, at most: what every batch of a run is filled up to.

  Attributes:
    source: Of what an encoder reads.
    target: Of what its decoder predicts.
    joined: Of both in one row.
  """
  source: int
  target: int
  joined: int


Corrupt = Callable[[Texts, Draws], tuple[Texts, Texts]]
