"""Correlations of two lists of numbers, with jackknife standard errors.

For the jackknife, each correlation is also computed without each of the N
examples, in closed form.
"""
from collections.abc import Sequence

import numpy as np

from lmjax.core import errors
from lmjax.evaluation import estimates


_NAMES = 'first numbers', 'second numbers'


def pearson(x: Sequence[float], y: Sequence[float],
            names: tuple[str, str] = _NAMES) -> estimates.Estimate:
  """Returns Pearson's correlation, from -1 to 1.

  If all numbers of a list are equal, or one is not finite, the value is None
  and `why` gives the reason.

  Args:
    x: N numbers.
    y: N numbers, in the same order.
    names: Names of the two lists, for the reason.

  Raises:
    InputError: If the lists are not equally long, or have fewer than 2 numbers.

  References:
    Pearson, Notes on Regression and Inheritance in the Case of Two Parents,
    1895.
  """
  x_N, y_N, why = _checked(x, y, names)
  if why:
    return estimates.Estimate(None, why=why)
  # Scales numbers to order 1, so that squares neither overflow nor underflow.
  x_N, y_N = (_centred(z_N / np.abs(z_N).max()) for z_N in (
      _centred(x_N), _centred(y_N)))
  xx, yy, xy = x_N @ x_N, y_N @ y_N, x_N @ y_N
  r = _clipped(xy / np.sqrt(xx * yy))
  if _leans_on_one(x) or _leans_on_one(y):
    return estimates.Estimate(float(r))
  # Leaving out an example subtracts this factor times its product.
  lost = len(x_N) / (len(x_N) - 1)
  without_N = (xy - lost * x_N * y_N) / np.sqrt(
      (xx - lost * x_N**2) * (yy - lost * y_N**2))
  return estimates.jackknife(float(r), _clipped(without_N))


def spearman(x: Sequence[float], y: Sequence[float],
             names: tuple[str, str] = _NAMES) -> estimates.Estimate:
  """Returns Spearman's correlation: Pearson's of the ranks, with mean ranks.

  Leaving out example i lowers each rank above its own by 1, and each equal rank
  by 1/2. With R_j and S_j the ranks of example j in the two lists, and h_ij and
  g_ij these decrements in the first and the second list, the sum of products
  becomes

    sum over j of (R_j - h_ij) (S_j - g_ij), without the term of j = i.

  See `pearson` for arguments and errors.

  References:
    Spearman, The Proof and Measurement of Association, 1904.
  """
  x_N, y_N, why = _checked(x, y, names)
  if why:
    return estimates.Estimate(None, why=why)
  r_N, s_N, rest = ranks(x_N), ranks(y_N), len(x_N) - 1
  value = pearson(r_N, s_N).value
  if _leans_on_one(x) or _leans_on_one(y):
    return estimates.Estimate(value)
  products_N = (r_N @ s_N - _above(x_N, s_N) - _above(y_N, r_N)
                + _both_above(x_N, y_N) - (r_N - 0.5) * (s_N - 0.5))
  products_N -= rest * ((rest + 1) / 2)**2
  without_N = products_N / np.sqrt(
      _spread_without(x_N) * _spread_without(y_N))
  return estimates.jackknife(value, _clipped(without_N))


def ranks(values: Sequence[float]) -> np.ndarray:
  """Returns the rank of each value, from 1; ties get their mean rank.

  Example:
    >>> ranks([10, 30, 30, 20]).tolist()
    [1.0, 3.5, 3.5, 2.0]
  """
  _, inverse, counts = np.unique(
      np.asarray(values), return_inverse=True, return_counts=True)
  ends = np.cumsum(counts)
  return (ends - (counts - 1) / 2)[inverse]


def _checked(x, y, names) -> tuple[np.ndarray, np.ndarray, str]:
  """Returns both arrays, and why they have no correlation, or ''."""
  x_N, y_N = (np.asarray(z, np.float64) for z in (x, y))
  if x_N.shape != y_N.shape or x_N.ndim != 1 or len(x_N) < 2:
    raise errors.InputError(
        'A correlation needs two equally long lists of at least 2 numbers; '
        f'got {len(x_N)} and {len(y_N)}.')
  for z_N, name in zip((x_N, y_N), names):
    if not np.isfinite(z_N).all():
      return x_N, y_N, f'not all {name} are finite'
    if z_N.min() == z_N.max():
      return x_N, y_N, f'all {name} are {z_N[0]:.6g}'
  return x_N, y_N, ''


def _centred(x_N: np.ndarray) -> np.ndarray:
  return x_N - x_N.mean()


def _clipped(r):
  return np.clip(r, -1.0, 1.0)


def _leans_on_one(x: Sequence[float]) -> bool:
  """Returns whether all numbers except one are equal."""
  _, counts = np.unique(np.asarray(x), return_counts=True)
  return len(counts) == 2 and counts.min() == 1


def _spread_without(x_N: np.ndarray) -> np.ndarray:
  """Returns the sum of squared centred ranks without each example, [N]."""
  _, inverse, counts = np.unique(x_N, return_inverse=True, return_counts=True)
  cubed = counts.astype(np.float64)**3 - counts
  fewer = (counts - 1.0)**3 - (counts - 1)
  rest = len(x_N) - 1
  return (rest**3 - rest - cubed.sum() + (cubed - fewer)[inverse]) / 12


def _above(x_N: np.ndarray, weights_N: np.ndarray) -> np.ndarray:
  """Returns, per number, the weights of larger ones plus half of equal ones."""
  _, inverse = np.unique(x_N, return_inverse=True)
  sums = np.bincount(inverse, weights_N)
  return (sums[::-1].cumsum()[::-1] - sums / 2)[inverse]


def _both_above(x_N: np.ndarray, y_N: np.ndarray) -> np.ndarray:
  """Returns, for each example i, the sum of h_ij g_ij over j: see `spearman`.

  h_ij is half of [x_j > x_i] + [x_j >= x_i], and g_ij the same for y.
  """
  pairs = np.stack([x_N, y_N], axis=1)
  _, inverse, counts = np.unique(
      pairs, axis=0, return_inverse=True, return_counts=True)
  equal_N = counts[inverse.reshape(-1)]
  return (_count_above(x_N, y_N) + _count_above(y_N, x_N)) / 2 + equal_N / 4


def _count_above(x_N: np.ndarray, y_N: np.ndarray) -> np.ndarray:
  """Returns, per example, the number with x >= its x and y > its y.

  Takes N log^2 N operations: two examples are compared at the first binary
  digit in which their ranks by y differ. Examples that agree in all higher
  digits form a group, which is sorted by x.
  """
  _, place_N = np.unique(y_N, return_inverse=True)
  order = np.lexsort((place_N, x_N))  # By x, then by y.
  place_N, found_N = place_N[order], np.zeros(len(x_N))
  for digit in reversed(range(int(place_N.max()).bit_length())):
    group_N = place_N >> (digit + 1)
    by_group = np.argsort(group_N, kind='stable')
    is_one = (place_N[by_group] >> digit) & 1
    seen = np.cumsum(is_one)
    ends = np.searchsorted(
        group_N[by_group], group_N[by_group], side='right') - 1
    found_N[by_group] += np.where(is_one, 0, seen[ends] - seen)
  out_N = np.empty(len(x_N))
  out_N[order] = found_N
  return out_N
