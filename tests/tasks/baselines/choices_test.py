"""Baselines of choices, by hand."""
import numpy as np

from lmjax.tasks.answering import alternatives
from lmjax.tasks.baselines import choices as choice_baselines


def _question(gold, *options, contexts=None):
  return alternatives.Question(
      contexts or ('Q',) * len(options), options, gold, 'f:1')


def test_positions_are_counted_in_training():
  fitted = choice_baselines.Position.fit(
      [_question(gold, 'a', 'b', 'c') for gold in (2, 1, 1)])
  np.testing.assert_allclose(np.exp(fitted(_question(0, *'abcd'))),
                             [0.5, 2, 1, 0.5])
  assert len(fitted(_question(0, 'a', 'b'))) == 2
  assert len(set(choice_baselines.Position.fit([])(_question(0, *'ab')))) == 1


def test_the_longest_option_is_chosen():
  fitted = choice_baselines.Longest.fit([])
  assert fitted(_question(0, 'a', 'bcd')).tolist() == [1, 3]
  two = _question(0, 'a', 'a', contexts=('long', 'no'))
  assert fitted(two).tolist() == [4, 2]
