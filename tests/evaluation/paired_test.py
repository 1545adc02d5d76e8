"""Paired tests against brute force over all signs, and against simulation."""
import itertools
import math

import numpy as np
import pytest
from scipy import stats

from lmjax.core import errors
from lmjax.evaluation import paired


def every_sign(change):
  """Returns the p-value by enumerating all assignments of signs."""
  seen = abs(sum(change))
  sums = [abs(sum(s * c for s, c in zip(signs, change)))
          for signs in itertools.product((-1, 1), repeat=len(change))]
  return sum(x >= seen - 1e-9 for x in sums) / len(sums)


@pytest.mark.parametrize('seed', range(6))
@pytest.mark.parametrize('count', [2, 3, 7, 10])
def test_few_units_give_the_share_of_all_signs(count, seed):
  rng = np.random.default_rng(seed)
  change = rng.normal(0.4, 1, count)
  p, test = paired.sign_flip(change)
  assert p == pytest.approx(every_sign(change))
  assert test == 'exact sign-flip test'


def test_units_without_a_difference_do_not_count_as_evidence():
  p, _ = paired.sign_flip(np.array([1.0, 0, 2.0, 0, 3.5, 0]))
  assert p == every_sign([1.0, 2.0, 3.5]) == 0.25
  assert paired.sign_flip(np.zeros(5)) == (1.0, 'exact sign-flip test')


@pytest.mark.parametrize('only_first, only_second', [(9, 1), (3, 3), (0, 6)])
def test_right_and_wrong_answers_give_mcnemars_test(only_first, only_second):
  change = np.array([1.0] * only_first + [-1.0] * only_second + [0.0] * 30)
  p, test = paired.sign_flip(change)
  assert test == 'exact McNemar test'
  assert p == pytest.approx(every_sign(change[:only_first + only_second]))


def test_many_units_are_drawn_and_the_same_each_time():
  change = np.random.default_rng(3).normal(0.15, 1, 200)
  p, test = paired.sign_flip(change)
  assert test == 'sign-flip test, 9,999 draws'
  assert p == paired.sign_flip(change)[0]
  assert p == pytest.approx(stats.ttest_1samp(change, 0).pvalue, abs=0.01)


def test_equal_weights_give_the_paired_t_interval():
  rng = np.random.default_rng(1)
  first, second = rng.normal(1, 1, (2, 12))
  found = paired.difference(first, second)
  expected = stats.ttest_rel(first, second)
  low, high = expected.confidence_interval(0.95)
  assert found.value == pytest.approx((first - second).mean())
  assert found.stderr == pytest.approx(
      (first - second).std(ddof=1) / math.sqrt(12))
  assert found.interval == pytest.approx((low, high))


def test_documents_are_weighted_by_their_tokens():
  found = paired.difference([10, 40], [6, 20], weights=[4, 16])
  assert found.value == pytest.approx(24 / 20)
  # d - D w = (4 - 4.8, 20 - 19.2); its squares sum to 1.28.
  assert found.stderr == pytest.approx(math.sqrt(2 * 1.28) / 20)


@pytest.mark.slow
def test_intervals_cover_and_p_values_are_uniform_without_a_difference():
  rng = np.random.default_rng(0)
  covered, small, trials = 0, 0, 400
  for _ in range(trials):
    weights = rng.integers(50, 150, 12)
    first, second = rng.normal(weights, 5, (2, 12))
    found = paired.difference(first, second, weights)
    covered += found.interval[0] < 0 < found.interval[1]
    small += found.shown
  assert 0.92 < covered / trials < 0.98
  assert 0.02 < small / trials < 0.08


def test_one_unit_allows_no_test():
  found = paired.difference([3.0, 9.0], [1.0, 9.0], weights=[2, 0])
  assert (found.value, found.units) == (1.0, 1)
  assert found.stderr is found.interval is found.p is None
  assert not found.shown


@pytest.mark.parametrize('units, smallest', [(5, 1 / 16), (7, 1 / 64)])
def test_the_smallest_p_value_is_reached_when_all_units_agree(units, smallest):
  found = paired.difference(np.arange(1, units + 1), np.zeros(units))
  assert found.smallest_p == found.p == smallest
  assert found.shown == (units >= 6)


def test_scores_of_other_units_are_refused():
  with pytest.raises(errors.InputError, match='2, 3 and 2'):
    paired.difference([1, 2], [1, 2, 3])
  with pytest.raises(errors.InputError, match='1 of them not finite'):
    paired.difference([1, math.nan], [1, 2])
  with pytest.raises(errors.InputError, match='got 0 units'):
    paired.difference([1.0], [2.0], weights=[0])


def test_holm_never_orders_p_values_differently():
  assert paired.holm([0.01, 0.02, 0.5]) == pytest.approx([0.03, 0.04, 0.5])
  assert paired.holm([0.6, 0.7]) == [1.0, 1.0]
  assert paired.holm([]) == []
