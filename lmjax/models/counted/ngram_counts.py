"""Counts of n-grams of every order up to 6, never across documents."""
from collections.abc import Iterable, Sequence
import dataclasses
import functools

import numpy as np

from lmjax.core import errors
from lmjax.models.counted import ngram_keys

MAX_ORDER = 6
Documents = Iterable[Sequence[int]]


@dataclasses.dataclass(frozen=True)
class Level:
  """The distinct n-grams of one order.

  Attributes:
    keys: parent * radix + token of each, rising; see `ngram_keys`. At order 1
      the tokens themselves, all of them.
    counts: How often each was seen.
    suffix: The index of each without its first token, among the n-grams one
      shorter.
    initial: Whether each begins with BOS.
  """
  keys: np.ndarray
  counts: np.ndarray
  suffix: np.ndarray
  initial: np.ndarray


@dataclasses.dataclass(frozen=True)
class Counts:
  """How often each n-gram was seen, at orders 1, 2, ...

  BOS is a token of contexts alone: it is given, never predicted, so its count
  at order 1 is 0. Documents without one are counted as if a BOS stood before
  them, which no later context holds.

  Attributes:
    vocab_size: Size of the vocabulary.
    bos_id: The id that begins every document, or None.
    levels: One for each order, from 1.
  """
  vocab_size: int
  bos_id: int | None
  levels: tuple[Level, ...]

  def __post_init__(self):
    for order, level in enumerate(self.levels, 1):
      counts = np.asarray(level.counts)
      if not np.all(np.isfinite(counts)) or (counts < 0).any():
        raise errors.InputError(
            f'Counts of order {order} should be numbers >= 0; got '
            f'{counts[~(counts >= 0) | ~np.isfinite(counts)][0]}.')

  @property
  def radix(self) -> int:
    return self.vocab_size + 1

  @property
  def start(self) -> int:
    """The token that begins every document: BOS, or a number no id has."""
    return self.vocab_size if self.bos_id is None else self.bos_id

  @property
  def choices(self) -> int:
    """How many tokens can be predicted: all but BOS."""
    return self.vocab_size - (self.bos_id is not None)

  @functools.cached_property
  def adjusted(self) -> tuple[np.ndarray, ...]:
    """Kneser-Ney's counts at each order.

    The number of distinct tokens seen before the n-gram, the beginning of a
    document being one of them; at the highest order, and for n-grams that begin
    with BOS, which nothing precedes, how often it was seen.

    References:
      Heafield et al., Scalable Modified Kneser-Ney Language Model Estimation,
      ACL 2013, section 3.2.
    """
    out = [level.counts for level in self.levels]
    for i, longer in enumerate(self.levels[1:]):
      level = self.levels[i]
      kinds = np.bincount(longer.suffix, minlength=len(level.keys))
      out[i] = np.where(level.initial, level.counts, kinds)
    return tuple(out)


def count(documents: Documents, order: int, vocab_size: int,
          bos_id: int | None) -> Counts:
  """Counts the n-grams of documents, of every order up to `order`.

  The documents are read once; their tokens are held, at about 30 bytes each
  while counting.

  Args:
    documents: Token ids, document by document, BOS and EOS in place.
    order: The longest n-grams, 1 to 6.
    vocab_size: Size of the vocabulary.
    bos_id: The id that begins every document, or None.

  Raises:
    InputError: On an id outside the vocabulary, a document without its one BOS,
      an impossible order, or nothing to count.
  """
  check_order(order)
  tokens, within = _joined(documents, vocab_size, bos_id)
  radix, start = vocab_size + 1, vocab_size if bos_id is None else bos_id
  everything = np.arange(radix)
  levels = [Level(everything, np.bincount(tokens[within > 0], minlength=radix),
                  np.zeros(radix, np.int64), everything == start)]
  node = tokens  # Which n-gram of the last order ends at each place.
  for n in range(2, order + 1):
    ends = np.flatnonzero(within >= n - 1)
    keys, counts, index = ngram_keys.group(node[ends - 1] * radix
                                           + tokens[ends])
    suffix = np.empty(len(keys), np.int64)
    suffix[index] = node[ends]
    levels.append(Level(keys, counts, suffix,
                        levels[-1].initial[keys // radix]))
    node = np.full(len(tokens), -1)
    node[ends] = index
  return Counts(vocab_size, bos_id, tuple(levels))


def check_order(order: int) -> None:
  if not 1 <= order <= MAX_ORDER:
    raise errors.InputError(
        f'order should be from 1 (no context) to {MAX_ORDER}; got {order}.')


def _joined(documents, vocab_size, bos_id):
  """Returns all tokens, BOS before each document, and places within it."""
  held = [np.asarray(tokens) for tokens in documents]
  held = [tokens for tokens in held if len(tokens)]
  lengths = np.array([len(tokens) for tokens in held], np.int64)
  if not (lengths > (bos_id is not None)).any():
    raise errors.InputError(
        'An n-gram model needs at least one token to count; the documents hold '
        f'none{" beyond BOS" if held else ""}.')
  tokens = np.concatenate(held).astype(np.int64)
  if tokens.min() < 0 or tokens.max() >= vocab_size:
    wrong = tokens[(tokens < 0) | (tokens >= vocab_size)][0]
    raise errors.InputError(
        f'A document has token id {wrong}, but the vocabulary has {vocab_size} '
        'ids; count with the tokenizer that made the documents.')
  starts = np.cumsum(lengths) - lengths
  if bos_id is None:
    tokens = np.insert(tokens, starts, vocab_size)
    lengths = lengths + 1
    starts = np.cumsum(lengths) - lengths
  elif (not (tokens[starts] == bos_id).all()
        or np.count_nonzero(tokens == bos_id) != len(starts)):
    raise errors.InputError(
        f'Every document should begin with BOS (id {bos_id}) and hold it once; '
        'give bos_id=None if documents begin with text.')
  return tokens, np.arange(len(tokens)) - np.repeat(starts, lengths)
