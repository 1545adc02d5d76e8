"""Paired tests: whether one model is better than another on the same units.

Both models are scored on the same units, such as documents or examples. Only
the differences per unit matter, so what makes a unit easy or hard for both
models cancels. The units are taken to be independent; the tokens within a unit
need not be.
"""
from collections.abc import Sequence
import dataclasses
import math

import numpy as np

from lmjax.core import errors

LEVEL = 0.05  # A smaller p-value is called a difference.
_DRAWS = 9_999


@dataclasses.dataclass(frozen=True)
class Difference:
  """The difference of two models' scores, the first minus the second.

  Attributes:
    value: The difference of the mean scores.
    stderr: Its standard error, with units as clusters; None for one unit.
    interval: The 95% confidence interval, from Student's t over the units; None
      for one unit.
    units: Number of units.
    p: Two-sided p-value of the sign-flip test; None for one unit.
    smallest_p: The smallest p-value that the test can return for so few units.
    test: Name of the test.
  """
  value: float
  stderr: float | None
  interval: tuple[float, float] | None
  units: int
  p: float | None
  smallest_p: float
  test: str

  @property
  def shown(self) -> bool:
    """Whether the p-value is below `LEVEL`."""
    return self.p is not None and self.p < LEVEL


def difference(first: Sequence[float] | np.ndarray,
               second: Sequence[float] | np.ndarray,
               weights: Sequence[float] | np.ndarray | None = None
               ) -> Difference:
  """Returns the difference of two models' mean scores over the same units.

  The mean score of a model is the sum of its scores over the sum of weights.
  With d the differences per unit, w the weights and D = sum(d) / sum(w), the
  variance of D is n / (n - 1) * sum((d - D w)^2) / sum(w)^2.

  Args:
    first: The first model's score of each unit, such as the nats of a document.
    second: The second model's scores of the same units.
    weights: The size of each unit, such as its tokens; 1 by default.

  Raises:
    InputError: If the lengths differ, there is no unit with a weight, or a
      score is not finite.

  Example:
    >>> found = difference([1, 2, 3, 4, 5, 7], [0, 0, 0, 0, 0, 0])
    >>> round(found.value, 3), found.p
    (3.667, 0.03125)

  References:
    Miller, Adding Error Bars to Evals, arXiv:2411.00640, sections 2.2 and 4.
  """
  first, second = (np.asarray(x, np.float64) for x in (first, second))
  weights = np.ones(len(first)) if weights is None else np.asarray(
      weights, np.float64)
  if not first.shape == second.shape == weights.shape:
    raise errors.InputError(
        'Paired scores and weights should be of the same units; got '
        f'{len(first)}, {len(second)} and {len(weights)}.')
  some = weights > 0
  change, weights = (first - second)[some], weights[some]
  if not len(change) or not np.all(np.isfinite(change)):
    raise errors.InputError(
        'Paired scores should be finite, of at least one unit with a weight; '
        f'got {len(change)} units, {np.count_nonzero(~np.isfinite(change))} of '
        'them not finite.')
  count, value = len(change), float(change.sum() / weights.sum())
  smallest = max(2.0 ** (1 - count), 1 / (_DRAWS + 1))
  if count < 2:
    return Difference(value, None, None, count, None, smallest, 'none')
  residuals = change - value * weights
  stderr = math.sqrt(count / (count - 1) * float(residuals @ residuals)
                     ) / float(weights.sum())
  from scipy import stats  # Slow to import, and only needed here.
  reach = float(stats.t.ppf(0.975, count - 1)) * stderr
  p, test = sign_flip(change)
  return Difference(value, stderr, (value - reach, value + reach), count, p,
                    smallest, test)


def sign_flip(change: np.ndarray) -> tuple[float, str]:
  """Returns the two-sided p-value of a sign-flip test, and the test's name.

  If the models are equally good, the sign of each unit's difference is as good
  as random. The p-value is the share of all assignments of signs whose sum is
  at least as far from 0. Differences of one size, such as right minus wrong,
  make it McNemar's exact test.

  Args:
    change: Differences per unit.

  References:
    Fisher, The Design of Experiments, 1935, section 21;
    McNemar, Note on the sampling error of the difference between correlated
    proportions or percentages, 1947.
  """
  from scipy import stats  # Slow to import, and only needed here.
  change = change[change != 0]  # Their sign changes nothing.
  if not len(change):
    return 1.0, 'exact sign-flip test'
  if np.all(np.abs(change) == np.abs(change[0])):
    better = int(np.count_nonzero(change > 0))
    return float(stats.binomtest(better, len(change)).pvalue), (
        'exact McNemar test')
  found = stats.permutation_test(
      (change,), np.sum, permutation_type='samples', n_resamples=_DRAWS,
      vectorized=True, batch=max(1, 10**7 // len(change)),
      rng=np.random.default_rng(0))
  exact = 2 ** len(change) <= _DRAWS
  return float(found.pvalue), (
      'exact sign-flip test' if exact else f'sign-flip test, {_DRAWS:,} draws')


def holm(p_values: Sequence[float]) -> list[float]:
  """Returns p-values adjusted for several tests, by Holm's method.

  Example:
    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]

  References:
    Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
  """
  adjusted, highest = [0.0] * len(p_values), 0.0
  for rank, place in enumerate(np.argsort(p_values, kind='stable').tolist()):
    highest = max(highest, (len(p_values) - rank) * p_values[place])
    adjusted[place] = min(1.0, highest)
  return adjusted
