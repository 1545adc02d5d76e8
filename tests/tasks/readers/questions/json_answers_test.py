"""Questions about texts in JSON lines."""
import collections
import json

from lmjax.core import errors
from lmjax.tasks.readers.questions import json_answers
import pytest

ROW = {'question': 'When?', 'context': 'It fell in 476.', 'answers': '476',
       'of': 'Rome', 'number': 3}


def read(tmp_path, *rows, counts=None, **options):
  path = tmp_path / 'some.jsonl'
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  reader = json_answers.JsonAnswers((str(path),), **options)
  return list(reader.examples(counts))


def test_fields_are_chosen_by_name(tmp_path):
  found, none = read(
      tmp_path, ROW, ROW | {'answers': None}, title='of', name='number')
  assert found.texts == ('When?', 'It fell in 476.')
  assert found.answers == (('476', 11),) and none.answers == ()
  assert (found.title, found.name) == ('Rome', '3')
  assert found.where.endswith('some.jsonl:1')
  plain, = read(tmp_path, {'q': 'Who?', 'c': 'He.', 'a': ['He']},
                question='q', context='c', answers='a')
  assert plain.answers == (('He', 0),) and plain.title is plain.name is None


def test_answers_that_are_missing_are_counted(tmp_path):
  counts = collections.Counter()
  assert not read(tmp_path, ROW | {'answers': '477'}, on_missing='drop',
                  counts=counts)
  assert sum(counts.values()) == 2


@pytest.mark.parametrize('change, options, message', [
    ({}, {'answers': 'answer'}, "no field 'answer' .*Did you mean 'answers'"),
    ({'context': 3}, {}, "some.jsonl:1: field 'context' should be a string"),
    ({'context': ' '}, {}, 'some.jsonl:1: the text is empty'),
    ({'answers': 476}, {}, 'some.jsonl:1: an answer should be a text')])
def test_bad_rows_are_refused_with_their_line(
    tmp_path, change, options, message):
  with pytest.raises(errors.InputError, match=message):
    read(tmp_path, ROW | change, **options)
