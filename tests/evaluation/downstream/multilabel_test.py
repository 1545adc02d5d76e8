"""Scores of sets of labels against counts by hand."""
import json

import numpy as np
import pytest

from lmjax.evaluation.downstream import multilabel

TRUE = np.array([[1, 0, 0], [1, 1, 0], [0, 0, 0], [0, 1, 0]], bool)
P = np.array([[0.9, 0.6, 0.1], [0.8, 0.3, 0.1], [0.2, 0.1, 0.4],
              [0.4, 0.7, 0.2]])
RESULT = multilabel.Multilabel(
    ('a', 'b', 'never'), TRUE, np.log(P) - np.log1p(-P))


def f1(result, rows):
  """Returns micro- and macro-F1 of some examples, label by label."""
  true, said = result.true_NC[rows], result.said_NC[rows]
  counts = [((t & s).sum(), t.sum() + s.sum()) for t, s in zip(true.T, said.T)]
  micro = 2 * sum(c[0] for c in counts) / sum(c[1] for c in counts)
  return micro, np.mean([2 * r / n for r, n in counts if n])


def test_metrics_by_hand():
  values = {name: found.value for name, found in RESULT.metrics.items()}
  assert values['micro_f1'] == pytest.approx(2 * 3 / 8)
  assert values['macro_f1'] == pytest.approx((1 + 1 / 2) / 2)
  assert values['exact'] == 2 / 4
  assert values['loss'] == pytest.approx(
      -np.log(np.where(TRUE, P, 1 - P)).sum(axis=1).mean())
  assert RESULT.by_label()[1] == {
      'name': 'b', 'examples': 2, 'predicted': 2, 'precision': 0.5,
      'recall': 0.5, 'f1': 0.5}


def test_standard_errors_leave_out_one_example_each():
  for place, name in enumerate(('micro_f1', 'macro_f1')):
    without = [f1(RESULT, np.arange(4) != i)[place] for i in range(4)]
    assert RESULT.metrics[name].stderr == pytest.approx(
        np.sqrt(3 / 4 * np.sum((without - np.mean(without))**2)))


def test_the_threshold_is_a_probability():
  for threshold in 0.25, 0.5, 0.75:
    said = multilabel.chosen(RESULT.logits_NC, threshold)
    np.testing.assert_array_equal(said, P >= threshold)


def test_the_best_threshold_has_the_highest_micro_f1():
  # From 0.3 on, b of example 1 is found; below 0.3 there are more errors.
  p = np.array([[0.9, 0.3], [0.2, 0.8], [0.25, 0.1]])
  true = np.array([[1, 1], [0, 1], [0, 0]], bool)
  logits = np.log(p) - np.log1p(-p)
  assert multilabel.best_threshold(logits, true) == 0.3
  assert multilabel.best_threshold(logits, p > 0.5) == 0.5


def test_no_label_at_all_is_scored():
  result = multilabel.Multilabel(
      ('a',), np.zeros((3, 1), bool), np.full((3, 1), -9.0))
  assert result.metrics['micro_f1'].value == 0
  assert result.metrics['exact'].value == 1
  assert result.pictures() == {}
  assert multilabel.best_threshold(result.logits_NC, result.true_NC) == 0.5


def test_reports(tmp_path):
  tree = json.loads(json.dumps(RESULT.to_dict()))
  assert tree['labels'][0]['f1'] == 1 and tree['threshold'] == 0.5
  assert RESULT.tables()['Labels'][1][1] == (
      'b', '2', '2', '0.500', '0.500', '0.500')
  RESULT.pictures()['Precision-recall'](tmp_path / 'x.png', 'a run')
  assert (tmp_path / 'x.png').read_bytes().startswith(b'\x89PNG')
