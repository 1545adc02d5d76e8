"""A pair is a source and its targets, none of them empty."""
import pytest

from lmjax.core import errors
from lmjax.tasks.written import example


def test_a_pair_is_stripped_and_blank_references_are_left_out():
  pair = example.pair(' a ', ('b ', ' ', 'c'), 'f:1')
  assert pair == example.Pair('a', ('b', 'c'), 'f:1')
  assert pair.texts == ('a',) and pair.content == ('a', 'b', 'c')
  assert example.shown(pair) == {'text': 'a', 'targets': ['b', 'c']}
  assert example.shown(pair._replace(targets=())) == {'text': 'a'}


@pytest.mark.parametrize('source, target, what', [
    (' ', 'b', 'source'), ('a', '', 'target')])
def test_an_empty_side_is_refused(source, target, what):
  with pytest.raises(errors.InputError, match=f'f:1: the {what} is empty'):
    example.pair(source, (target, 'c'), 'f:1')
