"""Ranking: against pairs and thresholds counted one by one."""
import numpy as np
import pytest

from lmjax.evaluation.downstream import ranking

RNG = np.random.default_rng(0)
SCORES = RNG.integers(0, 12, 60) / 12  # With ties.
POSITIVE = RNG.random(60) < 0.2 + 0.5 * SCORES


def test_auc_is_the_share_of_pairs_in_order():
  pairs = [(a > b) + 0.5 * (a == b) for a in SCORES[POSITIVE]
           for b in SCORES[~POSITIVE]]
  found = ranking.auc(SCORES, POSITIVE)
  assert found.value == pytest.approx(np.mean(pairs))
  resampled = []
  for _ in range(500):
    chosen = RNG.integers(0, 60, 60)
    resampled.append(ranking.auc(SCORES[chosen], POSITIVE[chosen]).value)
  assert found.stderr == pytest.approx(np.std(resampled), rel=0.15)


def test_average_precision_sums_over_thresholds():
  total, before = 0.0, 0.0
  for threshold in sorted(set(SCORES), reverse=True):
    chosen = SCORES >= threshold
    recall = POSITIVE[chosen].sum() / POSITIVE.sum()
    total += (recall - before) * POSITIVE[chosen].mean()
    before = recall
  assert ranking.average_precision(
      SCORES, POSITIVE).value == pytest.approx(total)


def test_constant_scores_rank_by_chance():
  found = ranking.auc(np.ones(60), POSITIVE)
  assert found.value == 0.5
  assert ranking.average_precision(
      np.ones(60), POSITIVE).value == POSITIVE.mean()


@pytest.mark.parametrize('value', [True, False])
def test_one_class_has_no_order(value):
  found = ranking.auc(SCORES, np.full(60, value))
  assert found.value is None and 'one class' in found.why
  assert (ranking.average_precision(SCORES, np.full(60, value)).value
          is None) == (not value)


def test_the_curve_is_drawn(tmp_path):
  ranking.plot(tmp_path / 'x.png', {'$a': (SCORES, POSITIVE)}, 'a run')
  assert (tmp_path / 'x.png').read_bytes().startswith(b'\x89PNG')
