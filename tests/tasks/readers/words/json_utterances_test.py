"""Utterances in JSON lines."""
import json

import pytest

from lmjax.core import errors
from lmjax.tasks.readers.words import json_utterances

ROW = {'tokens': ['play', 'Jo'], 'tags': ['O', 'B-x'], 'label': 1}


def found(path, *rows, **options):
  (path / 'a.jsonl').write_text(''.join(json.dumps(r) + '\n' for r in rows))
  return list(json_utterances.JsonUtterances(
      (str(path / 'a.jsonl'),), **options).examples())


def test_words_tags_and_intent_are_fields(tmp_path):
  first, = found(tmp_path, ROW, {'tokens': [], 'tags': [], 'label': 'x'},
                 rename=('1=play',))
  assert first[:2] == (('play', 'Jo'), ('O', 'B-x'))
  assert first.label == 'play' and first.where.endswith('a.jsonl:1')
  first, = found(tmp_path, ROW | {'tags': [0, 1]}, names=('O', 'B-y'))
  assert first.tags == ('O', 'B-y')


@pytest.mark.parametrize('row, message', [
    (ROW | {'tags': ['O']}, 'jsonl:1: 2 words, but 1 tags'),
    (ROW | {'label': None}, 'a label should be text'),
    ({'tokens': ['a'], 'tags': ['O']}, "no field 'label'")])
def test_what_is_wrong_is_named(tmp_path, row, message):
  with pytest.raises(errors.InputError, match=message):
    found(tmp_path, row)
