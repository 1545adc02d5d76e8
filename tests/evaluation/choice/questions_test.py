"""Questions: the shapes that are read, and what is told of the others."""
import json

import pytest

from lmjax.core import errors
from lmjax.evaluation.choice import questions


def _read(tmp_path, *rows, limit=None):
  path = tmp_path / 'q.jsonl'
  path.write_text('\n'.join(
      row if isinstance(row, str) else json.dumps(row) for row in rows))
  return questions.read(str(path), limit)


def test_the_shapes_are_read(tmp_path):
  first, second, third, fourth = _read(
      tmp_path, {'query': 'Q', 'choices': ['a', 'b', 'c'], 'gold': 2}, '',
      {'context': 'Q', 'choices': ['yes', 'no'], 'answer': 'no'},
      {'context_options': ['A', 'B'], 'continuation': 'c', 'gold': 1},
      {'context_options': ['A', 'B'], 'continuation': 'c', 'answer': 'A'})
  assert first == questions.Item(
      ('Q', 'Q', 'Q'), ('a', 'b', 'c'), 2, str(tmp_path / 'q.jsonl') + ':1')
  assert (second.gold, second.source[-2:]) == (1, ':3')
  assert (third.contexts, third.continuations) == (('A', 'B'), ('c', 'c'))
  assert (third.gold, fourth.gold) == (1, 0)
  item, = _read(tmp_path, {'context': 'Q', 'continuation': 'c'})
  assert (item.contexts, item.continuations) == (('Q',), ('c',))
  item, = _read(tmp_path, {
      'sentence_good': 'g', 'sentence_bad': 'b', 'field': 'syntax'})
  assert (item.contexts, item.continuations) == (('', ''), ('g', 'b'))
  assert item.gold == 0
  item, = _read(tmp_path, {'activity_label': 'A', 'ctx_a': 'B', 'ctx_b': 'c',
                           'endings': ['x [step]', 'y'], 'label': '1'})
  assert (item.contexts[0], item.continuations, item.gold) == (
      'A: B C', ('x ', 'y'), 1)
  assert item.row['label'] == '1'  # As templates see it.


def test_limit_reads_the_first_questions(tmp_path):
  rows = [{'context': 'Q', 'continuation': str(i)} for i in range(5)]
  assert [item.continuations[0] for item in _read(tmp_path, *rows, limit=2)
          ] == ['0', '1']


@pytest.mark.parametrize('row, words', [
    ('{"query": ', r'q\.jsonl:1: not JSON'), ('[1]', 'should be a JSON object'),
    ({'query': 'Q', 'choices': ['a'], 'gold': 0}, 'at least two texts'),
    ({'query': 'Q', 'choices': ['a', 1], 'gold': 0}, 'should be a text'),
    ({'query': 'Q', 'choices': ['a', ''], 'gold': 0}, 'is empty'),
    ({'query': 'Q', 'choices': ['a', 'b'], 'gold': 2}, 'should be 0 to 1'),
    ({'query': 'Q', 'choices': ['a', 'b'], 'gold': True}, 'got True'),
    ({'query': 'Q', 'choices': ['a', 'a'], 'gold': 'a'}, "got 'a'"),
    ({'query': 'Q', 'choices': ['a', 'b'], 'golden': 1},
     "no gold or answer.*Did you mean 'gold'"),
    ({'sentence_good': 'g', 'sentence_bda': 'b'},
     "no sentence_bad.*Did you mean 'sentence_bad'"),
    ({'contxt': 'Q', 'continuation': 'a'}, "Did you mean 'context'"),
    ({'endings': ['a', 'b'], 'ctx': 'Q'}, 'got None'),
    ({'endings': ['a', 'b'], 'label': 0}, 'context should be a text'),
    ('', 'has no questions')])
def test_lines_of_other_shapes_are_refused(tmp_path, row, words):
  with pytest.raises(errors.InputError, match=words):
    _read(tmp_path, row, '')


def test_a_file_that_mixes_shapes_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='separate files'):
    _read(tmp_path, {'query': 'Q', 'choices': ['a', 'b'], 'gold': 0},
          {'context': 'Q', 'continuation': 'c'})


def test_real_files(shared_data):
  folder = shared_data / 'lm_eval'
  sizes = {path.name: len(questions.read(str(path)))
           for path in folder.glob('*.jsonl')}
  assert sizes['copa.jsonl'] == 100 and sizes['piqa.jsonl'] == 1838
  assert sizes['winograd_wsc.jsonl'] == 273
