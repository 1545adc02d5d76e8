"""Baselines under the model's evaluator: uniform, unigram and bigram.

A baseline is called with a batch, like a model's score, and returns the loss of
each target in nats and whether it was the most probable token.
"""
from collections.abc import Iterable, Iterator, Mapping, Sequence
import dataclasses
import functools

import numpy as np

from lmjax.core import errors

Documents = Iterable[Sequence[int]]
_DENSE = 1 << 24  # Up to this many possible pairs are counted in a table.
_CHUNK_TOKENS = 1 << 22


@dataclasses.dataclass(frozen=True)
class Uniform:
  """All tokens are equally probable: each costs log(vocab_size) nats."""
  vocab_size: int

  def __call__(self, batch: Mapping[str, np.ndarray]):
    shape = batch['targets'].shape
    # All tokens tie, so each is right with probability 1 / vocab_size.
    return (np.full(shape, np.log(self.vocab_size), np.float32),
            np.full(shape, 1 / self.vocab_size, np.float32))


@dataclasses.dataclass(frozen=True)
class Unigram:
  """The frequencies of tokens, smoothed so that all are above 0.

  If the training text has N tokens, R of them distinct, the probability of a
  token is (count + R / vocab_size) / (N + R).

  Attributes:
    counts: Number of times each token is a target in training, [vocab_size].

  References:
    Witten and Bell, The Zero-Frequency Problem, IEEE Trans. Information
    Theory 37(4), 1991, method C.
  """
  counts: np.ndarray

  @classmethod
  def fit(cls, documents: Documents, vocab_size: int,
          bos: bool = True) -> 'Unigram':
    """Counts the tokens of documents, without their BOS if `bos`."""
    counts = np.zeros(vocab_size, np.int64)
    for before, tokens in _chunks(documents, vocab_size):
      counts += np.bincount(tokens[before >= 0] if bos else tokens,
                            minlength=vocab_size)
    return cls(counts)

  @functools.cached_property
  def probabilities(self) -> np.ndarray:
    """Probability of each token, [vocab_size]."""
    kinds, size = np.count_nonzero(self.counts), len(self.counts)
    if not kinds:
      return np.full(size, 1 / size)
    return (self.counts + kinds / size) / (self.counts.sum() + kinds)

  def __call__(self, batch: Mapping[str, np.ndarray]):
    targets_BT, p = batch['targets'], self.probabilities
    nll_BT = -np.log(p)[targets_BT]
    return nll_BT.astype(np.float32), targets_BT == np.argmax(p)


@dataclasses.dataclass(frozen=True)
class Bigram:
  """Interpolated Kneser-Ney bigram: predicts from the previous token.

  With counts c(vw) in training, a discount D and N(v) distinct tokens seen
  after v,

    p(w | v) = max(c(vw) - D, 0) / c(v) + D N(v) / c(v) * q(w),

  where q(w) is proportional to the number of distinct tokens seen before w,
  discounted in the same way and interpolated with the uniform distribution.
  After an unseen token, p = q. D is n1 / (n1 + 2 n2), where n1 and n2 are the
  numbers of pairs seen once and twice.

  Attributes:
    vocab_size: Size of the vocabulary.
    keys: v * vocab_size + w of each pair seen, sorted.
    seen: The first term above, in the order of `keys`.
    backoff: The factor of q after each token, [vocab_size].
    lower: q, [vocab_size].
    best: The most probable token after each token, [vocab_size].

  References:
    Kneser and Ney, Improved Backing-off for M-gram Language Modeling, ICASSP
    1995. Chen and Goodman, An Empirical Study of Smoothing Techniques for
    Language Modeling, TR-10-98, section 2.7.
  """
  vocab_size: int
  keys: np.ndarray
  seen: np.ndarray
  backoff: np.ndarray
  lower: np.ndarray
  best: np.ndarray

  @classmethod
  def fit(cls, documents: Documents, vocab_size: int) -> 'Bigram':
    """Counts the pairs of adjacent tokens in documents, BOS included."""
    keys, counts = np.zeros((2, 0), np.int64)
    dense = np.zeros(vocab_size**2 if vocab_size**2 <= _DENSE else 0, np.int64)
    for before, tokens in _chunks(documents, vocab_size):
      pairs = (before * vocab_size + tokens)[before >= 0]
      if len(dense):
        dense += np.bincount(pairs, minlength=len(dense))
        continue
      new_keys, new_counts = np.unique(pairs, return_counts=True)
      keys, inverse = np.unique(np.concatenate([keys, new_keys]),
                                return_inverse=True)
      counts = np.bincount(inverse, np.concatenate([counts, new_counts]),
                           len(keys)).astype(np.int64)
    if len(dense):
      keys = np.flatnonzero(dense)
      counts = dense[keys]
    if not len(keys):
      raise errors.InputError(
          'A bigram needs at least one document of two tokens; got none.')
    return cls.from_counts(vocab_size, keys, counts)

  @classmethod
  def from_counts(cls, vocab_size: int, keys: np.ndarray,
                  counts: np.ndarray) -> 'Bigram':
    """Returns the model of sorted `keys` that were seen `counts` > 0 times."""
    v, w = np.divmod(keys, vocab_size)
    total = np.bincount(v, counts, vocab_size)
    kinds = np.bincount(v, minlength=vocab_size)
    discount = _discount(counts)
    seen = (counts - discount) / total[v]
    backoff = np.where(total > 0, discount * kinds / np.maximum(total, 1), 1.0)
    lower = _lower(np.bincount(w, minlength=vocab_size))
    # The most probable token after v was seen after v or is the best under q.
    favourite = int(np.argmax(lower))
    v = np.concatenate([v, np.arange(vocab_size)])
    w = np.concatenate([w, np.full(vocab_size, favourite)])
    model = cls(vocab_size, keys, seen, backoff, lower, best=None)
    order = np.lexsort((model.probability(v, w), v))
    last = np.flatnonzero(np.diff(v[order], append=vocab_size))
    return dataclasses.replace(model, best=w[order][last])

  def probability(self, before: np.ndarray, token: np.ndarray) -> np.ndarray:
    """Returns p(token | before), elementwise."""
    key = before.astype(np.int64) * self.vocab_size + token
    at = np.minimum(np.searchsorted(self.keys, key), len(self.keys) - 1)
    seen = np.where(self.keys[at] == key, self.seen[at], 0.0)
    return seen + self.backoff[before] * self.lower[token]

  def __call__(self, batch: Mapping[str, np.ndarray]):
    inputs_BT, targets_BT = batch['inputs'], batch['targets']
    nll_BT = -np.log(self.probability(inputs_BT, targets_BT))
    return nll_BT.astype(np.float32), targets_BT == self.best[inputs_BT]


def _discount(counts: np.ndarray) -> float:
  """Returns the leave-one-out absolute discount, n1 / (n1 + 2 n2)."""
  once, twice = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
  return once / (once + 2 * twice) if once and twice else 0.5


def _lower(kinds_before: np.ndarray) -> np.ndarray:
  """Returns q, from the number of distinct tokens seen before each token."""
  total, size = kinds_before.sum(), len(kinds_before)
  discount = _discount(kinds_before[kinds_before > 0])
  left = discount * np.count_nonzero(kinds_before) / total
  return np.maximum(kinds_before - discount, 0) / total + left / size


def _chunks(documents: Documents,
            vocab_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields (the token before, or -1 if there is none; token) of all tokens.

  The arrays have at most about 4 million tokens, however long a document is.
  """
  held, size = [], 0
  for tokens in map(np.asarray, documents):
    if held and size + len(tokens) > _CHUNK_TOKENS:
      yield _joined(held, vocab_size)
      held, size = [], 0
    before = -1
    while len(tokens) > _CHUNK_TOKENS:
      yield _joined([tokens[:_CHUNK_TOKENS]], vocab_size, before)
      before, tokens = int(tokens[_CHUNK_TOKENS - 1]), tokens[_CHUNK_TOKENS:]
    if before >= 0:
      yield _joined([tokens], vocab_size, before)
    elif len(tokens):
      held.append(tokens)
      size += len(tokens)
  if held:
    yield _joined(held, vocab_size)


def _joined(held, vocab_size, before=-1):
  """Returns the two arrays of documents; the first one continues `before`."""
  tokens = np.concatenate(held)
  if tokens.max() >= vocab_size:
    raise errors.InputError(
        f'A document has token id {tokens.max()}, but the vocabulary has '
        f'{vocab_size} ids.')
  previous = np.empty(len(tokens), np.int64)
  previous[1:] = tokens[:-1]
  previous[np.cumsum([0] + [len(tokens) for tokens in held[:-1]])] = -1
  previous[0] = before
  return previous, tokens
