"""Counts n-grams of every order up to 6, within documents."""
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
    keys: The sorted keys, parent * radix + token; see `ngram_keys`. At order 1
      these are all tokens.
    counts: The number of times that each n-gram was seen.
    suffix: The index of each n-gram without its first token, among the n-grams
      of the previous order.
    initial: Whether each n-gram begins with BOS.
  """
  keys: np.ndarray
  counts: np.ndarray
  suffix: np.ndarray
  initial: np.ndarray


@dataclasses.dataclass(frozen=True)
class Counts:
  """The counts of n-grams at orders 1, 2, ...

  BOS occurs only in contexts: it is given and never predicted, so its count at
  order 1 is 0. Documents without BOS are counted with an implicit BOS before
  them, which is not an id of the vocabulary.

  Attributes:
    vocab_size: Size of the vocabulary.
    bos_id: The id that begins every document, or None.
    levels: The n-grams of each order, from 1.
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
    """The token that begins every document: BOS, or a number that is no id."""
    return self.vocab_size if self.bos_id is None else self.bos_id

  @property
  def choices(self) -> int:
    """The number of tokens that can be predicted: all except BOS."""
    return self.vocab_size - (self.bos_id is not None)

  @functools.cached_property
  def adjusted(self) -> tuple[np.ndarray, ...]:
    """The adjusted counts of Kneser-Ney at each order.

    The adjusted count of an n-gram is the number of distinct tokens seen before
    it, where BOS counts as a token. At the highest order, and for n-grams that
    begin with BOS, it is the number of times that the n-gram was seen.

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

  The documents are read once. Their tokens are kept in memory, at about 30
  bytes per token while counting.

  Args:
    documents: Token ids of each document, with BOS and EOS.
    order: Length of the longest n-grams, 1 to 6.
    vocab_size: Size of the vocabulary.
    bos_id: The id that begins every document, or None.

  Raises:
    InputError: If an id is outside the vocabulary, a document does not have
      exactly one BOS at its start, `order` is not in [1, 6], or there are no
      tokens to count.
  """
  check_order(order)
  tokens, within = _joined(documents, vocab_size, bos_id)
  radix, start = vocab_size + 1, vocab_size if bos_id is None else bos_id
  everything = np.arange(radix)
  levels = [Level(everything, np.bincount(tokens[within > 0], minlength=radix),
                  np.zeros(radix, np.int64), everything == start)]
  node = tokens  # Index of the previous order's n-gram that ends at each place.
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
  """Returns all tokens, with BOS before each document, and their places in it.
  """
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
