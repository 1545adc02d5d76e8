"""Takes rows apart into their texts, rearranges these, and lays them out again.

A corruption is a list of chunks. Each chunk is a stretch of the old tokens, or
a special id, and the text that it comes next in. So a batch of any number of
texts takes a few vector operations.
"""
from collections.abc import Callable, Sequence
import dataclasses

import numpy as np

_TAG = 0xC0  # Separates these draws from the ones that order rows.


@dataclasses.dataclass(frozen=True)
class Texts:
  """P texts, one after the other, in the order of their rows.

  Attributes:
    tokens: The ids of all texts, 1-D.
    lengths: Number of ids in each text, [P].
    rows: Index of each text's row in the batch, [P].
    segments: Segment of each text in its row, [P].
  """
  tokens: np.ndarray
  lengths: np.ndarray
  rows: np.ndarray
  segments: np.ndarray

  @property
  def offsets(self) -> np.ndarray:
    """The place in `tokens` at which each text begins, [P]."""
    return np.cumsum(self.lengths) - self.lengths

  def in_row(self, values: np.ndarray) -> np.ndarray:
    """Returns the sum of `values` over the texts before each in its row."""
    before = np.cumsum(values) - values
    first = np.searchsorted(self.rows, self.rows)
    return before - before[first]


def of_rows(batch: dict[str, np.ndarray], last: bool = False) -> Texts:
  """Returns the texts in the inputs of a batch, by rows and segments.

  Args:
    batch: `inputs`, `targets`, `weights` and `segments`, [B, T].
    last: Whether the target of a row's last token belongs to its text, if it
      has a weight.
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
  """Random numbers of each row, a function of (seed, epoch, index).

  A draw takes the same number of values from each row's generator, whatever the
  other rows are, and none from rows without texts.
  """

  def __init__(self, seed: int, epoch: int, indices: Sequence[int],
               width: int):
    """Seeds a generator for each row; a draw takes at most `width` numbers."""
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
      lengths: Number of values for each text, [P]; None takes its length.
    """
    lengths = texts.lengths if lengths is None else lengths
    rows, row = np.unique(texts.rows, return_inverse=True)
    u = np.array([self._generators[i].random(self._width) for i in rows])
    column = np.repeat(texts.in_row(lengths), lengths) + arange(lengths)
    return u.reshape(-1, self._width)[np.repeat(row, lengths), column]

  def of_texts(self, texts: Texts) -> np.ndarray:
    """Returns one number for each text, [P]."""
    return self.each(texts, np.ones_like(texts.lengths))


def arange(lengths: np.ndarray) -> np.ndarray:
  """Returns 0, 1, ... for each of the lengths, joined.

  Example:
    >>> arange(np.array([3, 0, 2])).tolist()
    [0, 1, 2, 0, 1]
  """
  starts = np.cumsum(lengths) - lengths
  return np.arange(lengths.sum()) - np.repeat(starts, lengths)


def composition(texts: Texts, draws: Draws, totals: np.ndarray,
                parts: np.ndarray) -> np.ndarray:
  """Returns lengths, each at least 1, that add up to the totals.

  All ways to write a total as a sum of the given number of parts are equally
  likely.

  Args:
    texts: The texts, [P].
    draws: Random numbers of their rows.
    totals: The sum of each text's parts, [P].
    parts: Number of parts of each text, [P], at most the total.
  """
  group, within = (
      np.repeat(np.arange(len(totals)), totals), arange(totals))
  u = draws.each(texts, totals)
  # The first unit begins a part, and so do the units of the smallest numbers.
  order = np.argsort(np.where(within == 0, group, group + 0.25 + u / 2))
  rank = np.empty_like(within)
  rank[order] = within
  starts = np.flatnonzero(rank < parts[group])
  return np.diff(starts, append=len(group))


@dataclasses.dataclass(frozen=True)
class Chunks:
  """Stretches of a buffer that, in their order, form new texts.

  Attributes:
    starts: Place in the buffer at which each chunk begins, [C].
    lengths: Length of each chunk, [C].
    texts: Index of the text of each chunk, [C].
  """
  starts: np.ndarray
  lengths: np.ndarray
  texts: np.ndarray

  @classmethod
  def of(cls, texts: np.ndarray, *parts: tuple) -> 'Chunks':
    """Returns chunks of the same parts, (starts, lengths), for each text."""
    shape = (len(texts), len(parts))
    starts, lengths = (
        np.stack([np.broadcast_to(part[i], shape[:1]) for part in parts], 1)
        for i in range(2))
    return cls(starts.ravel(), lengths.ravel(), np.repeat(texts, len(parts)))

  def join(self, *others: 'Chunks') -> 'Chunks':
    """Returns all chunks by text, in the given order within each text."""
    parts = (self, *others)
    texts = np.concatenate([part.texts for part in parts])
    order = np.argsort(texts, kind='stable')
    return Chunks(
        np.concatenate([part.starts for part in parts])[order],
        np.concatenate([part.lengths for part in parts])[order], texts[order])

  def read(self, buffer: np.ndarray, like: Texts) -> Texts:
    """Returns the texts that the chunks of the buffer form."""
    place = np.repeat(self.starts, self.lengths) + arange(self.lengths)
    lengths = np.bincount(
        self.texts, self.lengths, len(like.lengths)).astype(np.int64)
    return dataclasses.replace(like, tokens=buffer[place], lengths=lengths)


def stripped(texts: Texts, bos_id: int | None, eos_id: int | None
             ) -> tuple[np.ndarray, np.ndarray, Texts]:
  """Returns whether texts begin with BOS, whether they end in EOS, the rest."""
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
    source: Texts that the encoder reads.
    target: Texts that the decoder predicts, except their first ids, which are
      given; empty for texts without a target.
    num_rows: Rows of the batch.
    sizes: Tokens in a row.
  """
  read = _laid(source, num_rows, sizes.source, {'inputs': source.tokens})
  return {f'encoder_{name}': read[name] for name in (
      'inputs', 'positions', 'segments')} | plain(
          source, target, num_rows, dataclasses.replace(
              sizes, joined=sizes.target))


def plain(source: Texts, target: Texts, num_rows: int,
          sizes: 'Sizes') -> dict[str, np.ndarray]:
  """Returns a batch that predicts all tokens of targets after the first."""
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

  Targets have weights, and `prefix` is True for the source. A source of one
  token without a target is left out.
  """
  index = np.arange(len(source.lengths))
  chunks = Chunks.of(
      index, (source.offsets, source.lengths),
      (len(source.tokens) + target.offsets, target.lengths))
  whole = chunks.read(np.concatenate([source.tokens, target.tokens]), source)
  batch = plain(source, whole, num_rows, sizes)
  count = np.maximum(whole.lengths - 1, 0)
  place, read = arange(count), np.repeat(source.lengths, count)
  # The target of the source's last token is the given id: no weight.
  counts = (place >= read) & np.repeat(target.lengths > 0, count)
  flags = _laid(dataclasses.replace(source, lengths=count), num_rows,
                sizes.joined, {'prefix': place < read, 'weights': counts})
  return batch | {
      'prefix': flags['prefix'], 'weights': flags['weights'].astype(np.float32)}


def _laid(texts: Texts, num_rows: int, length: int,
          values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """Returns values of tokens as arrays [num_rows, length].

  Adds the arrays `positions` and `segments`.
  """
  before = texts.in_row(texts.lengths)
  if len(before) and (before + texts.lengths).max() > length:
    raise RuntimeError(  # A bug: `sizes` should exclude this.
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
  """Most tokens in a row, to which every batch of a run is padded.

  Attributes:
    source: Tokens that an encoder reads.
    target: Tokens that its decoder predicts.
    joined: Tokens of both in one row.
  """
  source: int
  target: int
  joined: int


Corrupt = Callable[[Texts, Draws], tuple[Texts, Texts]]
