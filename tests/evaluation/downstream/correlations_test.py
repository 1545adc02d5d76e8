"""Correlations by hand, and their jackknife against loops."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream import correlations
from lmjax.evaluation import estimates

RNG = np.random.default_rng(0)
LISTS = {
    'distinct': (RNG.normal(size=40), RNG.normal(size=40)),
    'ties': (RNG.integers(0, 5, 60), RNG.integers(0, 3, 60)),
    'ties in one': (RNG.integers(0, 4, 50), RNG.normal(size=50)),
    'related': (np.arange(30), np.arange(30) + 5 * RNG.normal(size=30)),
    'far from 0': (1e9 + RNG.integers(0, 9, 30), 1e-9 * RNG.normal(size=30)),
}
KINDS = {'pearson': (correlations.pearson, np.asarray),
         'spearman': (correlations.spearman, correlations.ranks)}


def plain(x, y):
  """Returns the correlation as NumPy computes it."""
  return np.corrcoef(x, y)[0, 1]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('name', LISTS)
def test_a_correlation_and_its_jackknife_are_those_of_loops(kind, name):
  correlation, of = KINDS[kind]
  x, y = LISTS[name]
  without = [plain(of(np.delete(x, i)), of(np.delete(y, i)))
             for i in range(len(x))]
  want = estimates.jackknife(plain(of(x), of(y)), np.array(without))
  found = correlation(x, y)
  assert found.value == pytest.approx(want.value, rel=1e-6)
  assert found.stderr == pytest.approx(want.stderr, rel=1e-6)


def test_spearman_is_that_of_ranks_with_ties_shared():
  assert correlations.spearman([1, 2, 3], [10, 400, 401]).value == 1
  assert correlations.spearman([1, 2, 3], [3, 2, 1]).value == -1
  # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4.
  assert correlations.spearman([1, 2, 2, 9], [1, 2, 3, 4]).value == (
      pytest.approx(4.5 / (4.5 * 5) ** 0.5))


def test_the_standard_error_is_the_known_one():
  rng, rho, size = np.random.default_rng(1), 0.6, 4000
  x, noise = rng.normal(size=(2, size))
  y = rho * x + (1 - rho**2)**0.5 * noise
  found = correlations.pearson(x, y)  # Of normal numbers.
  assert found.stderr == pytest.approx((1 - rho**2) / size**0.5, rel=0.05)
  assert correlations.spearman(x, y).stderr == pytest.approx(
      found.stderr, rel=0.15)


@pytest.mark.parametrize('correlation', [
    correlations.pearson, correlations.spearman])
def test_what_is_undefined_is_none_with_a_reason(correlation):
  constant = correlation([1, 2, 3], [2.5, 2.5, 2.5])
  assert constant == estimates.Estimate(
      None, why='all second numbers are 2.5')
  assert correlation([1, np.nan], [1, 2], names=('labels', '')).why == (
      'not all labels are finite')


@pytest.mark.parametrize('correlation', [
    correlations.pearson, correlations.spearman])
def test_without_the_one_that_differs_there_is_no_standard_error(correlation):
  found = correlation([0, 0, 0, 0.1], [1, 2, 3, 4])
  assert found.value == pytest.approx(plain([0, 0, 0, 1], [1, 2, 3, 4]))
  assert found.stderr is None
  assert correlation([1, 2], [1, 3]) == estimates.Estimate(1.0)


def test_lists_that_do_not_pair_are_refused():
  with pytest.raises(errors.InputError, match='got 1 and 2'):
    correlations.spearman([1], [1, 2])


def test_many_numbers_take_no_time():
  x = np.random.default_rng(0).integers(0, 50_000, (2, 100_000))
  assert correlations.spearman(*x).stderr == pytest.approx(
      100_000**-0.5, rel=0.02)
