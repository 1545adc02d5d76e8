"""Smoothing: from counts of n-grams to probabilities, also of unseen n-grams.

A smoothing is a frozen dataclass whose `estimate(counts)` returns `Estimates`.
In the equations h is a context, h' the context without its first token, w a
token, c(hw) a count, and V the number of tokens that can be predicted (all
except BOS). The unigram model interpolates with, or backs off to, the uniform
distribution 1 / V.
"""
import dataclasses
from typing import NamedTuple

import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.models.counted import ngram_counts


class Estimates(NamedTuple):
  """Probabilities of the n-grams seen, and back-off factors for the others.

  probabilities[n - 1] holds p(w | h) for the n-grams hw of order n.
  backoffs[n - 1] holds the factor of p(w | h') after the n-grams h of order n,
  for tokens w that never followed h. The longest n-grams have no back-off.
  """
  probabilities: list[np.ndarray]
  backoffs: list[np.ndarray]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class AddK:
  """p(w | h) = (c(hw) + k) / (c(h) + k V), uniform after an unseen context.

  Each order is independent: shorter contexts are not used.

  Attributes:
    k: Added to each count, > 0; 1 is Laplace's rule.

  References:
    Lidstone, Note on the General Case of the Bayes-Laplace Formula, 1920.
  """
  k: ranges.Positive = 0.01
  normalised = True
  lower = 'uniform'
  unseen = 1.0

  def estimate(self, counts: ngram_counts.Counts) -> Estimates:
    """Returns the probabilities of `counts`."""
    probabilities, backoffs = [], []
    mass = self.k * counts.choices
    for level, parent, size in _orders(counts):
      total = np.bincount(parent, level.counts, size)
      probabilities.append((level.counts + self.k) / (total[parent] + mass))
      backoffs.append(mass / (total + mass))
    probabilities[0][counts.start] = 0.0
    return Estimates(probabilities, backoffs[1:])


@dataclasses.dataclass(frozen=True)
class WittenBell:
  """p(w | h) = (c(hw) + T(h) p(w | h')) / (c(h) + T(h)).

  T(h) is the number of distinct tokens seen after h.

  References:
    Witten and Bell, The Zero-Frequency Problem, IEEE Trans. Information
    Theory 37(4), 1991, method C. Chen and Goodman, An Empirical Study of
    Smoothing Techniques for Language Modeling, TR-10-98, equation 17.
  """
  normalised = True
  lower = 'shorter'
  unseen = 1.0

  def estimate(self, counts: ngram_counts.Counts) -> Estimates:
    """Returns the probabilities of `counts`."""
    parts = []
    for level, parent, size in _orders(counts):
      kinds = np.bincount(parent[level.counts > 0], minlength=size)
      total = np.bincount(parent, level.counts, size) + kinds
      parts.append((level.counts / np.maximum(total, 1)[parent],
                    _share(kinds, total)))
    return _interpolated(counts, parts)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class AbsoluteDiscounting:
  """p(w | h) = max(c(hw) - D, 0) / c(h) + D T(h) / c(h) p(w | h').

  Attributes:
    discount: D at every order, 0 < D < 1; None estimates D for each order as
      n1 / (n1 + 2 n2), with n_r the number of n-grams seen r times, or as 1/2
      if n1 or n2 is 0.

  References:
    Ney, Essen and Kneser, On Structuring Probabilistic Dependences in
    Stochastic Language Modelling, Computer Speech and Language 8, 1994.
  """
  discount: ranges.ProperShare | None = None
  normalised = True
  lower = 'shorter'
  unseen = 1.0

  def estimate(self, counts: ngram_counts.Counts) -> Estimates:
    """Returns the probabilities of `counts`."""
    values = [level.counts for level in counts.levels]
    return _discounted(counts, values, [
        np.repeat(_one_discount(v, self.discount), 3) for v in values])


@dataclasses.dataclass(frozen=True)
@ranges.checked
class KneserNey:
  """Interpolated Kneser-Ney with one discount per order.

  This is absolute discounting in which the count of a shorter n-gram is the
  number of distinct tokens before it: see `Counts.adjusted`.

  Attributes:
    discount: D at every order, as in `AbsoluteDiscounting`.

  References:
    Kneser and Ney, Improved Backing-off for M-gram Language Modeling, ICASSP
    1995. Chen and Goodman, TR-10-98, section 4.1.6.
  """
  discount: ranges.ProperShare | None = None
  normalised = True
  lower = 'shorter'
  unseen = 1.0

  def estimate(self, counts: ngram_counts.Counts) -> Estimates:
    """Returns the probabilities of `counts`."""
    return _discounted(counts, counts.adjusted, [
        np.repeat(_one_discount(v, self.discount), 3) for v in counts.adjusted])


@dataclasses.dataclass(frozen=True)
@ranges.checked
class ModifiedKneserNey:
  """Interpolated Kneser-Ney with discounts for counts of 1, 2, and 3 or more.

  With n_r the number of n-grams of adjusted count r and Y = n1 / (n1 + 2 n2),

    D_r = r - (r + 1) Y n_{r+1} / n_r,  r = 1, 2, 3.

  Attributes:
    fallback: The discounts of an order in which some n_r, r = 1, 2, 3, is 0 or
      some D_r is not in (0, r]. The default is from KenLM's
      --discount_fallback.

  References:
    Chen and Goodman, An Empirical Study of Smoothing Techniques for Language
    Modeling, TR-10-98, equations 23 to 26. Heafield et al., Scalable Modified
    Kneser-Ney Language Model Estimation, ACL 2013.
  """
  fallback: tuple[ranges.Positive, ranges.Positive, ranges.Positive] = (
      0.5, 1.0, 1.5)
  normalised = True
  lower = 'shorter'
  unseen = 1.0

  def __post_init__(self):
    if len(self.fallback) != 3 or any(
        d > r for r, d in enumerate(self.fallback, 1)):
      raise errors.InputError(
          'ModifiedKneserNey.fallback should be three discounts of at most 1, '
          f'2 and 3; got {self.fallback}.')

  def estimate(self, counts: ngram_counts.Counts) -> Estimates:
    """Returns the probabilities of `counts`."""
    return _discounted(counts, counts.adjusted,
                       [self.discounts(v) for v in counts.adjusted])

  def discounts(self, values: np.ndarray) -> np.ndarray:
    """Returns D_1, D_2 and D_3 of an order's adjusted counts, [3]."""
    n = np.bincount(np.minimum(values, 5), minlength=5)
    if n[1:4].all():
      r = np.arange(1, 4)
      found = r - (r + 1) * n[1] / (n[1] + 2 * n[2]) * n[2:5] / n[1:4]
      if ((0 < found) & (found <= r)).all():
        return found
    return np.array(self.fallback)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class StupidBackoff:
  """S(w | h) = c(hw) / c(h) if seen, else alpha S(w | h'); not probabilities.

  A token never seen gets alpha / V. The scores do not sum to one, so their loss
  and perplexity cannot be compared with a model's: `normalised` is False.

  Attributes:
    alpha: The factor of each back-off step.

  References:
    Brants et al., Large Language Models in Machine Translation, EMNLP 2007,
    equation 5.
  """
  alpha: ranges.PositiveShare = 0.4
  normalised = False
  lower = 'shorter'

  @property
  def unseen(self) -> float:
    return self.alpha

  def estimate(self, counts: ngram_counts.Counts) -> Estimates:
    """Returns the scores of `counts`."""
    probabilities, backoffs = [], []
    for level, parent, size in _orders(counts):
      total = np.bincount(parent, level.counts, size)
      probabilities.append(level.counts / total[parent])
      backoffs.append(np.full(size, self.alpha))
    unigrams = probabilities[0]
    unigrams[unigrams == 0] = self.alpha / counts.choices
    unigrams[counts.start] = 0.0
    return Estimates(probabilities, backoffs[1:])


def _orders(counts):
  """Yields each order's level, the context of each n-gram, and their number.
  """
  size = 1
  for level in counts.levels:
    first = level is counts.levels[0]
    parent = np.zeros_like(level.keys) if first else level.keys // counts.radix
    yield level, parent, size
    size = len(level.keys)


def _interpolated(counts, parts):
  """Returns p(w | h) = seen(hw) + left(h) p(w | h') from (seen, left)."""
  lower = np.full(1, 1 / counts.choices)
  probabilities, backoffs = [], []
  for (level, parent, _), (seen, left) in zip(_orders(counts), parts):
    lower = seen + left[parent] * lower[level.suffix]
    if not probabilities:
      lower[counts.start] = 0.0
    probabilities.append(lower)
    backoffs.append(left)
  return Estimates(probabilities, backoffs[1:])


def _discounted(counts, values, discounts):
  """Returns interpolated estimates from counts minus discounts for 1, 2, 3+."""
  parts = []
  for (_, parent, size), value, by_count in zip(
      _orders(counts), values, discounts):
    discount = np.append(0.0, by_count)[np.minimum(value, 3)]
    total = np.bincount(parent, value, size)
    parts.append(((value - discount) / np.maximum(total, 1)[parent],
                  _share(np.bincount(parent, discount, size), total)))
  return _interpolated(counts, parts)


def _share(left, total):
  """Returns left / total, or 1 for a context that no token followed."""
  return np.where(total > 0, left / np.maximum(total, 1), 1.0)


def _one_discount(values, given):
  if given is not None:
    return given
  once, twice = np.count_nonzero(values == 1), np.count_nonzero(values == 2)
  return once / (once + 2 * twice) if once and twice else 0.5
