"""Files in the format of SQuAD."""
import collections
import gzip
import json

from lmjax.core import errors
from lmjax.tasks.readers.questions import squad
import pytest

TEXT = 'Rom fell in 476.'


def tree(**changes):
  """Returns a file with one question, some fields of which are changed."""
  asked = {'id': 7, 'question': 'When did Rom fall?',
           'answers': [{'text': '476', 'answer_start': 12}]} | changes
  return {'version': '1.1', 'data': [
      {'title': 'Rome', 'paragraphs': [{'context': TEXT, 'qas': [asked]}]}]}


def read(tmp_path, value, **options):
  path = tmp_path / 'some.json'
  path.write_text(value if isinstance(value, str) else json.dumps(value))
  return list(squad.Squad((str(path),), **options).examples())


def test_questions_have_their_text_title_and_answers(tmp_path):
  found, = read(tmp_path, tree())
  assert found.texts == ('When did Rom fall?', TEXT)
  assert found.answers == (('476', 12),)
  assert (found.title, found.name) == ('Rome', '7')
  assert found.where.endswith('some.json, question 7')


def test_version_2_has_questions_without_an_answer(tmp_path):
  plausible = [{'text': 'Rom', 'answer_start': 0}]
  found, = read(tmp_path, tree(
      answers=[], is_impossible=True, plausible_answers=plausible))
  assert found.answers == ()
  for wrong in ({'is_impossible': True},
                {'is_impossible': False, 'answers': []}):
    with pytest.raises(errors.InputError, match='question 7: is_impossible is'):
      read(tmp_path, tree(**wrong))


def test_compressed_files_are_read_and_repairs_counted(tmp_path):
  path, counts = tmp_path / 'some.json.gz', collections.Counter()
  path.write_bytes(gzip.compress(json.dumps(tree(answers=[
      {'text': '476', 'answer_start': 11}, {'text': '477', 'answer_start': 1}]
  )).encode()))
  found, = squad.Squad((str(path),), on_missing='drop').examples(counts)
  assert found.answers == (('476', 12),) and sorted(counts.values()) == [1, 1]


@pytest.mark.parametrize('value, message', [
    ('{"data": 3}', "'data' should be a list; got 3"), ('[]', "'data' should"),
    ('{"a": 1}\n{"a": 2}', 'not JSON .*kind=JsonAnswers'),
    ({'data': [{}]}, "None: .*'paragraphs' should be a list"),
    ({'data': ['x']}, "'paragraphs' should be a list"),
    ({'data': [{'title': 'Rome', 'paragraphs': [{'context': 3}]}]},
     "'Rome': 'context' should be text; got 3"),
    ({'data': [{'paragraphs': [{'context': 'x', 'qas': [3]}]}]},
     "question None: 'question' should be text"),
    (tree(question=None), "question 7: 'question' should be text; got None"),
    (tree(question=' '), 'question 7: the question is empty'),
    (tree(answers=3), 'question 7: an answer should be'),
    (tree(answers=[{'text': 'never', 'answer_start': 1}]),
     "question 7: the answer 'never' is not in its text; .*on_missing=drop")])
def test_other_files_are_refused(tmp_path, value, message):
  with pytest.raises(errors.InputError, match=message):
    read(tmp_path, value)
