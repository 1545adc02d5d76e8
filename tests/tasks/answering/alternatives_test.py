"""Questions with options: from files, and as two texts."""
import pytest

from lmjax.core import errors
from lmjax.evaluation.choice import questions
from lmjax.tasks.answering import alternatives


def test_a_question_is_read_from_two_texts():
  found = alternatives.question(['Q', '["yes", "no"]'], 'f:1', 'no')
  assert found == alternatives.Question(('Q', 'Q'), ('yes', 'no'), 1, 'f:1')
  assert alternatives.question(['Q', '["a", "b"]'], 'f:1').gold is None
  for texts in (['Q'], ['Q', 'yes'], ['Q', '["yes"]'], ['Q', '["yes", 1]'],
                ['Q', '["yes", " "]'], ['Q', '{}']):
    with pytest.raises(errors.InputError, match='JSON list of options'):
      alternatives.question(texts, 'f:1')


def test_a_label_is_a_number_a_letter_or_a_text():
  options = ['x', '7', 'z']
  def number(label, first=0):
    return alternatives.numbered(label, options, 'f:1', first)
  assert [number(label) for label in ('0', 1, 'C', 'x', '7')] == [0, 1, 2, 0, 1]
  assert number('1', first=1) == 0
  for label in ('3', '-1', 'D', 'other', ''):
    with pytest.raises(errors.InputError, match='should be 0 to 2'):
      number(label)


def test_options_are_told_apart_by_their_contexts_or_texts():
  one = alternatives.Question(('Q', 'Q'), ('a', 'b'), 0, 'f:1')
  two = alternatives.Question(('A', 'B'), ('c', 'c'), 0, 'f:1')
  bare = alternatives.Question(('', ''), ('a', 'b'), 0, 'f:1')
  assert (one.told_apart_by, two.told_apart_by) == (('a', 'b'), ('A', 'B'))
  assert two.pairs == [('A', 'c'), ('B', 'c')] and bare.pairs == [
      ('a',), ('b',)]
  assert two.texts == ('A', 'B', 'c') and two.content == (
      ('A', 'B'), ('c', 'c'), 0)


def test_a_single_option_is_no_choice():
  item = questions.Item(('Q',), ('a',), 0, 'f:1')
  with pytest.raises(errors.InputError, match='f:1: .*one option'):
    alternatives.of_item(item)
