"""Katz back-off: Good-Turing discounts, with the rest for shorter contexts."""
import dataclasses

import numpy as np

from lmjax.core import ranges
from lmjax.models.counted import ngram_counts
from lmjax.models.counted import ngram_smoothing


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Katz:
  """p(w | h) = d_c(hw) c(hw) / c(h) if seen, else alpha(h) p(w | h').

  With n_r the number of n-grams of an order seen r times, counts r <= k are
  discounted by

    d_r = (r* / r - A) / (1 - A),  r* = (r + 1) n_{r+1} / n_r,
    A = (k + 1) n_{k+1} / n_1,

  and alpha(h) makes the probabilities sum to one. If some d_r is not in (0, 1),
  the order uses the largest smaller k for which all are; if there is none, only
  d_1 = 1/2 is discounted. A context whose tokens were all seen more than k
  times would leave no probability, so its c(h) is raised by one. A context that
  every token follows needs no rest, so its discounted frequencies are
  renormalised.

  Attributes:
    k: The largest count that is discounted, at least 1.

  References:
    Katz, Estimation of Probabilities from Sparse Data, IEEE Trans. ASSP 35(3),
    1987. Chen and Goodman, TR-10-98, section 2.4. Raising c(h) by one is what
    SRILM does (ngram-discount(7)).
  """
  k: ranges.Count = 5
  normalised = True
  lower = 'shorter'
  unseen = 1.0

  def estimate(self, counts: ngram_counts.Counts) -> ngram_smoothing.Estimates:
    """Returns the probabilities of `counts`."""
    lower = np.full(1, 1 / counts.choices)
    probabilities, backoffs = [], []
    radix, size = counts.radix, 1
    for level in counts.levels:
      first = size == 1 and not probabilities
      parent = np.zeros_like(level.keys) if first else level.keys // radix
      seen = level.counts > 0
      below = np.where(seen, lower[level.suffix], 0.0)
      probability = self._seen(level.counts, parent, size)
      kinds = np.bincount(parent[seen], minlength=size)
      probability, alpha = _rest(
          probability, below, parent, kinds, counts.choices)
      if first:
        probability = np.where(seen, probability, alpha[0] * lower[0])
        probability[counts.start] = 0.0
      probabilities.append(probability)
      backoffs.append(alpha)
      lower, size = probability, len(level.keys)
    return ngram_smoothing.Estimates(probabilities, backoffs[1:])

  def discounts(self, values: np.ndarray) -> np.ndarray:
    """Returns d_1 .. d_k of an order's counts; 1 means no discount."""
    out = np.ones(self.k)
    n = np.bincount(np.minimum(values, self.k + 2), minlength=self.k + 2)
    for k in range(self.k, 0, -1):
      if not n[1:k + 1].all():
        continue
      r = np.arange(1, k + 1)
      cut = (k + 1) * n[k + 1] / n[1]
      if cut >= 1:
        continue
      found = ((r + 1) * n[r + 1] / (n[r] * r) - cut) / (1 - cut)
      if ((0 < found) & (found < 1)).all():
        out[:k] = found
        return out
    out[0] = 0.5
    return out

  def _seen(self, values, parent, size):
    """Returns the discounted relative frequencies."""
    factor = np.concatenate([[1.0], self.discounts(values), [1.0]])
    kept = values * factor[np.minimum(values, self.k + 1)]
    total = np.bincount(parent, values, size)
    left = total - np.bincount(parent, kept, size)
    total = np.where(left < 1e-9 * total, total + 1, total)
    return kept / np.maximum(total, 1)[parent]


def _rest(probability, below, parent, kinds, choices):
  """Returns probabilities and alphas that sum to one in every context.

  Args:
    probability: The discounted probability of each n-gram.
    below: The probability of each n-gram's token after the shorter context.
    parent: The context of each n-gram.
    kinds: The number of distinct tokens seen after each context.
    choices: The number of tokens that can be predicted.
  """
  size = len(kinds)
  kept = np.bincount(parent, probability, size)
  free = 1 - np.bincount(parent, below, size)
  full = (kinds >= choices) | (free < 1e-12)
  some = kinds > 0
  alpha = np.where(full, 0.0, (1 - kept) / np.where(full, 1.0, free))
  scale = np.where(full & some, 1 / np.where(some, kept, 1.0), 1.0)
  return probability * scale[parent], np.where(some, alpha, 1.0)
