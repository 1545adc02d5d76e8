"""Scores of answers: thresholds, breakdowns and errors of dependent cases."""
import itertools

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream import answers
from lmjax.evaluation.downstream import matching

Case = answers.Case
CASES = (
    Case('Who won?', 0, ('the Normans',), 'Normans', -4.0, (1.0,)),  # 1, 1.
    Case('Who lost?', 0, ('King Harold',), 'Harold', -2.5, (2.0, 4.0)),  # 2/3.
    Case('When?', 1, (), 'in 1066', -2.0, (1.0,)),  # No answer is right.
    Case('Where?', 1, ('Hastings',), 'London', 1.0, (3.0,)),  # Wrong.
    Case('Why?', 2, (), 'greed', 3.0, (1.0,)))


def result(threshold=0.0):
  return answers.Answers(CASES, threshold)


def values(found):
  return {name: estimate.value for name, estimate in found.metrics.items()}


def test_scores_at_a_threshold_are_those_worked_out_by_hand():
  # At 0 the first three are answered, and the last two have no answer: right,
  # 2/3 right, wrong, wrong, right.
  found = values(result())
  assert found['f1'] == pytest.approx((1 + 2 / 3 + 0 + 0 + 1) / 5)
  assert found['em'] == pytest.approx(2 / 5)
  assert found['answerable_f1'] == pytest.approx((1 + 2 / 3) / 3)
  assert found['unanswerable_f1'] == pytest.approx(1 / 2)
  assert found['loss'] == pytest.approx(12 / 6)  # The mean over windows.


def test_a_question_at_the_threshold_is_answered():
  assert result(-2.0).said(-2.0)[2].tolist() == [0.0, 0.0]
  assert result().said(-2.0 - 1e-9)[2].tolist() == [1.0, 1.0]


def test_the_infamous_threshold_of_zero_is_worse_than_the_tuned_one():
  (em_threshold, em), (threshold, f1) = result().best
  assert (threshold, f1) == (-2.25, pytest.approx((1 + 2 / 3 + 1 + 0 + 1) / 5))
  assert (em_threshold, em) == (-3.25, pytest.approx(3 / 5))
  tuned = values(result(threshold))
  assert tuned['f1'] == tuned['best_f1'] == pytest.approx(f1)
  assert tuned['best_em'] == pytest.approx(3 / 5)
  assert tuned['untuned_f1'] == values(result())['f1'] < tuned['f1'] - 0.19


@pytest.mark.parametrize('seed', range(20))
def test_the_best_threshold_is_the_best_of_all(seed):
  rng = np.random.default_rng(seed)
  size = int(rng.integers(1, 9))
  null = rng.integers(-4, 5, size).astype(float)  # Many are equal.
  null[rng.random(size) < 0.1] = np.inf
  has = rng.random(size) < 0.5
  scores = np.where(has, rng.random(size).round(1), 0.0)
  threshold, value = answers.best_threshold(scores, has, null)
  mean = lambda at: np.where(null > at, ~has, scores).mean()
  assert np.isfinite(threshold)
  assert value == pytest.approx(mean(threshold))
  assert value == pytest.approx(max(map(mean, np.arange(-6, 7, 0.5))))


def test_errors_are_of_independent_texts():
  found = result().metrics['f1'].stderr
  sums, counts = np.array([5 / 3, 0, 1]), np.array([2, 2, 1])
  without = [(sums.sum() - s) / (5 - c) for s, c in zip(sums, counts)]
  assert found == pytest.approx(
      np.sqrt(2 / 3 * ((without - np.mean(without))**2).sum()))


def test_texts_that_all_have_answers_need_no_threshold(tmp_path):
  found = answers.Answers(CASES[:2], 1e30, matching.Squad())
  assert list(found.metrics) == ['loss', 'f1', 'em']
  assert found.pictures() == {}
  assert list(found.tables())[0] == 'Kinds of answers'
  unscored = found.cases[0]._replace(nll=None)
  assert list(answers.Answers((unscored,), 0.0).metrics) == ['f1', 'em']


def test_questions_that_all_lack_an_answer_have_no_score_with_one():
  found = answers.Answers(CASES[-1:], 0.0)
  assert found.metrics['answerable_f1'].value is None
  assert found.metrics['f1'].value == 1.0
  with pytest.raises(errors.InputError, match='no question'):
    answers.Answers((), 0.0)


def test_json_has_tables_without_the_texts_of_examples():
  tree = result(-2.25).to_dict()
  assert tree['examples'] == 5 and tree['answerable'] == 3
  assert tree['threshold'] == tree['best']['threshold'] == -2.25
  assert tree['tables']['Kinds of answers'] == [
      {'': 'has an answer', 'right': '1', 'partly right': '1', 'wrong': '0',
       'none given': '1'},
      {'': 'has no answer', 'right': '0', 'partly right': '0', 'wrong': '0',
       'none given': '2'}]
  assert not any('Harold' in str(row) for row in itertools.chain(
      *tree['tables'].values()))


def test_the_picture_is_drawn(tmp_path):
  draw, = result(-2.25).pictures().values()
  draw(tmp_path / 'threshold.png', 'Scores')
  assert (tmp_path / 'threshold.png').stat().st_size > 5000
