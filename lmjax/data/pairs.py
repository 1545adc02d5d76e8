"""Rows of two texts, [CLS] A [SEP] B [SEP], labelled as a true pair or not.

A document's tokens, without BOS and EOS, are cut into stretches that fill a
row, and each stretch is divided at a random place into A and B. Token stores do
not record sentences, so "sentence" means any stretch of text, as in BERT. A row
is a function of (seed, epoch, index).
"""
import dataclasses
import functools

import numpy as np

from lmjax.core import errors
from lmjax.data import packing
from lmjax.data import token_store as store_lib
from lmjax.data.tokenizers import vocabulary

_AROUND = 3  # Special tokens in a row: [CLS] and two [SEP].


@dataclasses.dataclass(frozen=True)
class NextSentence:
  """B comes from another document in half of the rows (label 1, otherwise 0).

  Such a B has the length of the one it replaces, unless its document is
  shorter, so that length does not reveal the label. Needs the specials [CLS]
  and [SEP].

  Attributes:
    shuffle: Whether to permute rows; if not, they stay in order.

  References:
    Devlin et al., BERT, arXiv:1810.04805, section 3.1, task 2.
  """
  shuffle: bool = True

  def build(self, store: store_lib.TokenStore, length: int, seed: int,
            tokenizer: vocabulary.Tokenizer) -> packing.Rows:
    """Returns rows of `length` tokens of the store.

    Raises:
      InputError: If a special is missing, rows are too short, or fewer than two
        documents have enough tokens.
    """
    return _Pairs(store, length, seed, tokenizer, self.shuffle, swaps=False)


@dataclasses.dataclass(frozen=True)
class SentenceOrder:
  """A and B are exchanged in half of the rows (label 1, otherwise 0).

  Needs the specials [CLS] and [SEP].

  Attributes:
    shuffle: Whether to permute rows; if not, they stay in order.

  References:
    Lan et al., ALBERT, arXiv:1909.11942, section 3.1.
  """
  shuffle: bool = True

  def build(self, store: store_lib.TokenStore, length: int, seed: int,
            tokenizer: vocabulary.Tokenizer) -> packing.Rows:
    """Returns rows of `length` tokens of the store.

    Raises:
      InputError: If a special is missing, or rows or documents are too short.
    """
    return _Pairs(store, length, seed, tokenizer, self.shuffle, swaps=True)


Config = NextSentence | SentenceOrder


class _Pairs:
  """Stretches of documents, each of which becomes a row."""

  def __init__(self, store, length, seed, tokenizer, shuffle, swaps):
    self._cls, self._sep = (
        tokenizer.special(name) for name in ('[CLS]', '[SEP]'))
    if length < _AROUND + 2:
      raise errors.InputError(
          f'A row of [CLS] A [SEP] B [SEP] needs length >= {_AROUND + 2}; got '
          f'{length}.')
    self._store, self._length, self._seed = store, length, seed
    self._shuffle, self._swaps = shuffle, swaps
    self._texts = _texts(store, tokenizer)
    self._starts, self._ends, self._documents = _stretches(
        *self._texts, length - _AROUND)
    self.num_rows = len(self._starts)
    if not self.num_rows:
      raise errors.InputError(
          'No document has the two tokens that a pair needs; give more text.')
    if not swaps and self._documents[0] == self._documents[-1]:
      raise errors.InputError(
          'NextSentence takes texts from other documents, and only one has '
          'two tokens or more: give more documents, or choose '
          '--config.data.packing.kind=SentenceOrder.')
    self._epoch = functools.lru_cache(maxsize=2)(self._epoch)

  def _epoch(self, epoch):
    """Returns the order of stretches and four random numbers for each row."""
    random = np.random.Generator(np.random.Philox(
        np.random.SeedSequence([self._seed, epoch])))
    order = (random.permutation(self.num_rows) if self._shuffle
             else np.arange(self.num_rows))
    return order, random.random((4, self.num_rows))

  def rows(self, epoch: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    """See `packing.Rows`; `labels` is [len(indices)]."""
    order, numbers = self._epoch(epoch)
    shape = (len(indices), self._length)
    out = {name: np.zeros(shape, np.int32) for name in (
        'inputs', 'positions', 'segments', 'types')}
    out['labels'] = np.zeros(len(indices), np.int32)
    for row, index in enumerate(np.asarray(indices).tolist()):
      *texts, label = self._pair(order[index], numbers[:, index])
      first, second = (
          self._store.tokens[slice(*t)].astype(np.int32) for t in texts)
      tokens = np.concatenate(
          [[self._cls], first, [self._sep], second, [self._sep]])
      count = len(tokens)
      out['inputs'][row, :count] = tokens
      out['positions'][row, :count] = np.arange(count)
      out['segments'][row, :count] = 1
      out['types'][row, len(first) + 2:count] = 1
      out['labels'][row] = label
    weights = (out['segments'] > 0).astype(np.float32)
    return out | {'targets': out['inputs'].copy(), 'weights': weights}

  def documents(self, epoch: int, indices: np.ndarray) -> np.ndarray:
    """See `packing.Rows`; targets are the inputs, so the last column is -1."""
    order, numbers = self._epoch(epoch)
    offsets = np.asarray(self._store.offsets)
    out = np.full((len(indices), self._length + 1), -1, np.int64)
    for row, index in enumerate(np.asarray(indices).tolist()):
      place = 1
      for start, end in self._pair(order[index], numbers[:, index])[:2]:
        size = end - start
        out[row, place:place + size] = np.searchsorted(
            offsets, start, side='right') - 1
        place += size + 1
    return out

  def _pair(self, stretch, numbers):
    """Returns (start, end) of A and of B in the store, and the label."""
    start, end = self._starts[stretch], self._ends[stretch]
    cut = start + 1 + int(numbers[0] * (end - start - 1))
    first, second = (start, cut), (cut, end)
    label = int(numbers[1] < 0.5)
    if label and self._swaps:
      return second, first, label
    if label:
      second = self._elsewhere(stretch, end - cut, numbers[2:])
    return first, second, label

  def _elsewhere(self, stretch, count, numbers):
    """Returns (start, end) of `count` tokens, or fewer, of another document."""
    low, high = np.searchsorted(
        self._documents, self._documents[stretch] + np.arange(2))
    other = int(numbers[0] * (self.num_rows - (high - low)))
    other += (high - low) * (other >= low)  # Skips stretches of this document.
    start, end = self._starts[other], self._ends[other]
    start += int(numbers[1] * (end - start))
    first, last = (ends[self._documents[other]] for ends in self._texts)
    start = max(first, min(start, last - count))
    return start, min(start + count, last)


def _texts(store, tokenizer):
  """Returns starts and ends of the documents' texts in the store."""
  offsets = np.asarray(store.offsets)
  starts, ends = offsets[:-1].copy(), offsets[1:].copy()
  if tokenizer.bos_id is not None:
    starts += store.tokens[starts] == tokenizer.bos_id
  if tokenizer.eos_id is not None:
    ends -= (ends > starts) & (store.tokens[ends - 1] == tokenizer.eos_id)
  return starts, ends


def _stretches(starts, ends, room):
  """Returns (start, end, document) of stretches of 2 to `room` tokens."""
  counts = -(-(ends - starts) // room)
  document = np.repeat(np.arange(len(starts)), counts)
  before = np.cumsum(counts) - counts
  number = np.arange(len(document)) - before[document]
  start = starts[document] + number * room
  end = np.minimum(start + room, ends[document])
  long_enough = end - start >= 2
  return start[long_enough], end[long_enough], document[long_enough]
