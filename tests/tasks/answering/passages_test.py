"""Questions whose answers are parts of their text."""
import collections

from lmjax.core import errors
from lmjax.tasks.answering import passages
import pytest

TEXT = 'Rom fell in 476. The fall of Rom was slow.'


def asked(answers, **options):
  return passages.question('When?', TEXT, answers, 'f:1', **options)


@pytest.mark.parametrize('answer, want, moved', [
    (('Rom', 0), ('Rom', 0), ''), (('Rom', 29), ('Rom', 29), ''),
    (('Rom', 27), ('Rom', 29), 'moved to the nearest'),
    (('Rom', -1), ('Rom', 0), 'moved to the nearest'),
    (('Rom', 10**9), ('Rom', 29), 'moved to the nearest'),
    ((' 476 ', 11), ('476', 12), ''), (('476', None), ('476', 12), ''),
    (('Rom', None), ('Rom', 0), 'placed at the first')])
def test_answers_are_put_where_the_text_has_them(answer, want, moved):
  counts = collections.Counter()
  found = asked([answer], counts=counts)
  assert found.answers == (passages.Answer(*want),)
  assert [moved in what for what in counts] == [True] * bool(moved)


def test_an_answer_that_is_not_in_its_text_is_refused_or_dropped():
  with pytest.raises(errors.InputError, match="f:1: .* '477' is not in its"):
    asked([('Rom', 0), ('477', 12)])
  counts = collections.Counter()
  drop = {'on_missing': 'drop', 'counts': counts}
  assert len(asked([('Rom', 0), ('477', 12)], **drop).answers) == 1
  assert asked([('477', 12)], **drop) is None
  assert sorted(counts.values()) == [1, 2]
  assert asked([], **drop).answers == asked([(' ', 3)], **drop).answers == ()


@pytest.mark.parametrize('texts', [(' ', TEXT), ('When?', '\n')])
def test_an_empty_question_or_text_is_refused(texts):
  with pytest.raises(errors.InputError, match='f:1: the .* is empty'):
    passages.question(*texts, [], 'f:1')


@pytest.mark.parametrize('value, want', [
    (None, []), ([], []), ('a', [('a', None)]), ('', [('', None)]),
    (['a', 'b'], [('a', None), ('b', None)]),
    ([{'text': 'a', 'answer_start': 3}], [('a', 3)]),
    ({'text': 'a', 'answer_start': 3}, [('a', 3)]),
    ({'text': ['a', 'b'], 'answer_start': [3, 4]}, [('a', 3), ('b', 4)]),
    ({'text': ['a']}, [('a', None)]), ({'text': [], 'answer_start': []}, [])])
def test_answers_are_read_in_every_usual_form(value, want):
  assert passages.given_answers(value, 'f:1') == want


@pytest.mark.parametrize('value', [
    3, [3], [{'answer_start': 3}], [{'text': 'a', 'answer_start': '3'}],
    {'text': ['a'], 'answer_start': []}, {'text': ['a'], 'answer_start': 3},
    [{'text': 'a', 'answer_start': True}]])
def test_other_values_are_refused_with_their_place(value):
  with pytest.raises(errors.InputError, match='f:1: an'):
    passages.given_answers(value, 'f:1')


def test_a_question_is_known_by_its_texts_and_answers():
  one = asked([('476', 12)], title='Rome', name='1')
  assert one.texts == ('When?', TEXT) and one.article == 'Rome'
  assert one.content == ('When?', TEXT, (('476', 12),))
  assert asked([]).content[2] == () and asked([]).article == TEXT
  assert one._replace(answers=None).content[2] is None
