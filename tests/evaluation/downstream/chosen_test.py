"""Accuracies of choices, by hand."""
import math

import numpy as np
import pytest

from lmjax.evaluation.downstream import chosen

RESULT = chosen.Chosen.of(
    [0, 1, 2], [np.log([3.0, 1.0]), np.log([2.0, 1.0]), np.log([1, 1, 2.0])],
    [('Q', ('a', 'b')), ('x' * 200, ('c', 'd')), ('R', ('e', 'f', 'g'))])


def test_metrics_by_hand():
  metrics = RESULT.metrics
  assert metrics['accuracy'].value == pytest.approx(2 / 3)
  assert metrics['accuracy'].stderr == pytest.approx(1 / 3)
  assert metrics['loss'].value == pytest.approx(
      -(math.log(3 / 4) + math.log(1 / 3) + math.log(1 / 2)) / 3)
  assert RESULT.to_dict()['chance'] == pytest.approx(4 / 9)
  assert RESULT.examples == 3 and not RESULT.pictures()


def test_options_that_tie_share_the_credit():
  found = chosen.Chosen.of([0, 1], [np.ones(2), np.ones(4)], has_loss=False)
  assert found.credits_N.tolist() == [0.5, 0.25]
  assert found.metrics.keys() == {'accuracy'}


def test_tables_show_positions_and_the_worst_errors():
  positions, worst = RESULT.tables().values()
  assert positions[1] == [('0', '3', '1', '2', '1'), ('1', '3', '1', '0', '0'),
                          ('2', '1', '1', '1', '1')]
  assert worst[1] == [('...' + 'x' * 120, 'd', 'c', '1.10')]


def test_the_error_of_the_highest_loss_comes_first():
  found = chosen.Chosen.of([0, 0], [np.array([0.0, n]) for n in (1.0, 2.0)],
                           [('low', ('a', 'b')), ('high', ('a', 'b'))])
  rows = found.tables()['Worst errors'][1]
  assert [row[0] for row in rows] == ['high', 'low']
