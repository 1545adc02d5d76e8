"""Turns sentences into rows of subwords; first subwords have the words' labels.
"""
from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import math
from typing import Any

import jax
import numpy as np

from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.tasks import rows as rows_lib
from lmjax.tasks.taggers import sentences as sentences_lib


@dataclasses.dataclass(frozen=True)
class WordRows(rows_lib.Rows):
  """Rows of sentences, whose batches have a label and a weight for each token.

  Batches also have `words`, 1 for the first subword of each word. A sentence
  that is longer than all rows has several rows: windows that overlap. Each of
  its words counts in one of them, where it has most context: in the others its
  weight and its `words` are 0. Windows are rows of their own in training. When
  each sentence is read once, the batches of K windows have arrays [B, K, T].

  Attributes:
    columns: For each sentence, the column of each word's first subword, where
      the columns of the K windows follow each other; None for words that were
      cut off or that have no token.
    windows: The number of rows of each sentence, in order; None means 1.
  """
  columns: tuple[tuple[int | None, ...], ...] = ()
  windows: np.ndarray | None = None

  def __len__(self) -> int:
    return len(self.columns)

  @property
  def counts(self) -> np.ndarray:
    """The number of rows of each sentence."""
    return np.ones(len(self), int) if self.windows is None else self.windows

  def once(self) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yields (indices of the sentences, batch): each sentence exactly once."""
    size, counts = self.features.batch_size, self.counts
    owners, firsts = np.repeat(np.arange(len(self)), counts), np.cumsum(counts)
    for length, rows in self.by_length():
      rows = rows[counts[owners[rows]] == 1]
      for start in range(0, len(rows), size):
        chosen = rows[start:start + size]
        yield owners[chosen], self.batch(chosen, length)
    for count in sorted({*counts.tolist()} - {1}):
      several = np.flatnonzero(counts == count)
      few = _sentences(size, count, len(several))
      for start in range(0, len(several), few):
        chosen = several[start:start + few]
        parts = [self.batch(firsts[chosen] - place, self.features.longest)
                 for place in range(count, 0, -1)]
        yield chosen, {
            name: x[:few] if x.ndim == 1 else np.stack(
                [part[name][:few] for part in parts], axis=1)
            for name, x in parts[0].items()}

  def batches(self, seed: int) -> rows_lib.Batches:
    """Returns the training batches, in which windows are rows."""
    if self.windows is None:
      return super().batches(seed)
    return WindowBatches(rows_lib.Rows(
        self.features, self.tokens, self.sizes, self.truncated, self.by_row,
        self.by_token), seed, windows=self.windows)

  def describe(self) -> str:
    """Returns a description of the rows, with the number of words lost."""
    words = sum(map(len, self.columns))
    lost = sum(columns.count(None) for columns in self.columns)
    told = super().describe()
    if self.windows is not None:
      long = (self.windows > 1).sum()
      told = (
          f'{len(self):,} examples in {len(self.sizes):,} rows, '
          f'{self.sizes.mean():.1f} tokens on average; {long:,} longer '
          f'than {self.features.longest} tokens are read in windows that '
          f'overlap, at most {self.windows.max()} each')
    if not lost:
      return told
    return (f'{told}; {lost:,} of {words:,} words were cut off or have no '
            'token, and are not seen')


@dataclasses.dataclass(frozen=True)
class WindowBatches(rows_lib.Batches):
  """Training batches of rows of which a sentence may have several."""
  windows: np.ndarray | None = None  # The number of rows of each sentence.

  @property
  def fingerprint(self) -> dict[str, Any]:
    """See `rows.Batches`; windows depend on how much they overlap."""
    return super().fingerprint | {
        'task.overlap: windows': ' '.join(map(str, self.windows))}

  def documents(self, step: int) -> list[list[int]]:
    """Returns the index of the sentence in each row of a step's batch."""
    owners = np.repeat(np.arange(len(self.windows)), self.windows).tolist()
    return [[owners[row] for row in rows] for rows in super().documents(step)]


def flat(batch: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a batch of sentences of K windows as a batch of B K rows.

  Example:
    >>> flat({'inputs': np.zeros((2, 3, 8))})['inputs'].shape
    (6, 8)
  """
  return {name: x.reshape(-1, x.shape[-1]) if x.ndim > 1 else x
          for name, x in batch.items()}


def joined(batch: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a batch of sentences of K windows as one of long rows, [B, K T].

  Example:
    >>> joined({'inputs': np.zeros((2, 3, 8))})['inputs'].shape
    (2, 24)
  """
  return {name: x.reshape(len(x), -1) if x.ndim > 1 else x
          for name, x in batch.items()}


def build(features: rows_lib.Features,
          sentences: Sequence[sentences_lib.Sentence],
          labels: Sequence[Sequence[int | None]],
          tokenizer: tokenizer_lib.Tokenizer, overlap: float | None = None,
          by_row: Mapping[str, np.ndarray] | None = None) -> WordRows:
  """Returns the rows of sentences.

  Each word is tokenized separately, with the prefix that a word has within a
  text; the first word has `features.prefix`.

  Args:
    features: How sentences become rows.
    sentences: The sentences.
    labels: For each sentence, the label of each word; a word whose label is
      None has weight 0.
    tokenizer: Maps text to ids.
    overlap: The share of a row that neighbouring windows of a sentence that is
      longer have in common; None cuts it at its end.
    by_row: More arrays of a batch, [sentences], by name, if nothing overlaps.

  Raises:
    InputError: If a row would have no tokens.
  """
  encoded = _encoded(features.prefix, sentences, tokenizer)
  room = features.longest - tokenizer.frame(1).size(1)
  rows, columns, counts = [], [], []
  by_token = {'labels': [], 'weights': [], 'words': []}
  for sentence, words, known in zip(sentences, encoded, labels):
    sizes = [len(ids) for ids in words]
    parts = [(0, len(words))] if overlap is None else windows(
        sizes, room, overlap)
    of_word = places(sizes, parts)
    found = [None] * len(words)
    for number, (start, end) in enumerate(parts):
      row = rows_lib.layout(
          [np.concatenate(words[start:end])], features.longest, tokenizer)
      if not len(row.ids):
        raise errors.InputError(
            f'{sentence.where}: no word of this sentence becomes a token; '
            'remove it, or use another tokenizer.')
      rows.append(row)
      arrays = {
          name: np.zeros(features.longest, np.int32) for name in by_token}
      for word, column in enumerate(
          _columns(words[start:end], *row.spans[0]), start):
        if column is None or of_word[word] != number:
          continue
        found[word] = number * features.longest + column
        arrays['words'][column] = 1
        if word < len(known) and known[word] is not None:
          arrays['labels'][column] = known[word]
          arrays['weights'][column] = 1
      for name, array in arrays.items():
        by_token[name].append(array)
    columns.append(tuple(found))
    counts.append(len(parts))
  by_token = {name: rows_lib.padded(arrays, features.longest)
              for name, arrays in by_token.items()}
  return WordRows(
      features, rows_lib.padded([row.ids for row in rows], features.longest),
      np.array([len(row.ids) for row in rows], np.int32),
      sum(row.cut for row in rows), by_row=by_row or {}, by_token=by_token | {
          'weights': by_token['weights'].astype(np.float32)},
      columns=tuple(columns),
      windows=np.array(counts) if max(counts, default=1) > 1 else None)


def numbered(sentences: Sequence[sentences_lib.Sentence],
             names: Sequence[str]) -> list[list[int | None]]:
  """Returns the index of each word's tag in each sentence; None if unknown.

  Args:
    sentences: The sentences, whose tags may be unknown.
    names: The names of the tags.
  """
  place = {tag: i for i, tag in enumerate(names)}
  return [[place.get(tag) for tag in each.tags or ()] for each in sentences]


def windows(sizes: Sequence[int], room: int, overlap: float
            ) -> list[tuple[int, int]]:
  """Returns the words [start, end) of each window of a sentence.

  A window has as many words as fit; the last one begins as early as it can.

  Args:
    sizes: The number of tokens of each word.
    room: The number of tokens that fit into a window. A longer word is a window
      of its own, and is cut.
    overlap: The share of a window, below 1, that it has in common with the next
      one, as far as whole words permit.

  Example:
    >>> windows([1] * 10, 6, 0.5), windows([1] * 10, 10, 0.5)
    ([(0, 6), (3, 9), (4, 10)], [(0, 10)])
  """
  ends = np.cumsum(sizes)
  starts = ends - sizes
  last = lambda start: max(int(np.searchsorted(
      ends, starts[start] + room, 'right')), start + 1)
  found = [(0, last(0))]
  while (end := found[-1][1]) < len(sizes):
    start = int(np.searchsorted(starts, ends[end - 1] - overlap * room))
    while last(start) <= end:  # The next word is too long to fit so early.
      start += 1
    found.append((start, last(start)))
  if len(found) > 1:
    early = int(np.searchsorted(starts, ends[-1] - room))
    found[-1] = (min(found[-1][0], max(early, found[-2][0] + 1)), len(sizes))
  return found


def places(sizes: Sequence[int], parts: Sequence[tuple[int, int]]
           ) -> list[int]:
  """Returns the number of the window in which each word has most context.

  The context of a word is the smaller one of the numbers of tokens before and
  after it in the window.

  Example:
    >>> places([1] * 10, [(0, 6), (4, 10)])
    [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]

  References:
    Devlin et al., BERT, arXiv:1810.04805, and its code for SQuAD.
  """
  ends = np.cumsum(sizes)
  starts = ends - sizes
  best = [(-1, 0)] * len(sizes)
  for number, (start, end) in enumerate(parts):
    for word in range(start, end):
      context = min(starts[word] - starts[start], ends[end - 1] - ends[word])
      if context > best[word][0]:
        best[word] = context, number
  return [number for _, number in best]


def _sentences(size: int, windows_each: int, many: int) -> int:
  """Returns the number of long sentences in a batch of about `size` rows.

  It divides `size`, and divides over the devices if `size` does.

  Args:
    size: The number of rows in other batches.
    windows_each: The number of windows of each of the sentences.
    many: The number of sentences.
  """
  least = math.gcd(size, jax.device_count())
  wanted = min(many, max(size // windows_each, 1))
  return next(few for few in range(least, size + 1, least)
              if few >= wanted and size % few == 0)


def _encoded(prefix: str, sentences: Sequence[sentences_lib.Sentence],
             tokenizer: tokenizer_lib.Tokenizer) -> list[list[np.ndarray]]:
  """Returns the ids of each word of each sentence; equal words share an array.
  """
  inside = tokenizer.word_prefix
  first = inside + prefix[1:] if prefix.startswith(' ') else prefix
  spelled = [[(inside if place else first) + word
              for place, word in enumerate(sentence.words)]
             for sentence in sentences]
  words = list(dict.fromkeys(word for row in spelled for word in row))
  if not words:
    return []
  ids, lengths = tokenizer.encode_all(words)
  found = dict(zip(words, np.split(ids, np.cumsum(lengths)[:-1])))
  return [[found[word] for word in row] for row in spelled]


def _columns(words: Sequence[np.ndarray], start: int, end: int
             ) -> tuple[int | None, ...]:
  """Returns the column of each word's first token before `end`, or None."""
  found, column = [], start
  for ids in words:
    found.append(column if len(ids) and column < end else None)
    column += len(ids)
  return tuple(found)
