"""Lists of words and of tags in JSON lines."""
import json

import pytest

from lmjax.core import errors
from lmjax.tasks.readers.words import json_words


def found(tmp_path, *rows, **options):
  path = tmp_path / 'a.jsonl'
  path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
  return list(json_words.JsonWords((str(path),), **options).examples())


def test_words_and_tags_are_lists(tmp_path):
  first, second = found(
      tmp_path, {'tokens': ['New York', '!'], 'tags': ['B-loc', 'O']},
      {'tokens': [], 'tags': []}, {'tokens': ['a'], 'tags': ['O']})
  assert first[:2] == (('New York', '!'), ('B-loc', 'O'))
  assert second.where.endswith('a.jsonl:3')


def test_numbers_are_named(tmp_path):
  sentence, = found(
      tmp_path, {'w': ['Jo', 'is'], 'ner': [1, 0]}, words='w', tags='ner',
      names=('O', 'B-per'))
  assert sentence.tags == ('B-per', 'O')


@pytest.mark.parametrize('row, options, message', [
    ({'tokens': ['a'], 'tags': ['O', 'O']}, {}, 'jsonl:1: 1 words, but 2'),
    ({'tokens': 'a', 'tags': ['O']}, {}, "'tokens' should be a list of words"),
    ({'tokens': ['a'], 'tags': [3]}, {}, r"got \[3\]. If tags are numbers, name"),
    ({'tokens': ['a', ' '], 'tags': ['O', 'O']}, {}, 'list of words'),
    ({'tokens': ['a'], 'tags': [2]}, {'names': ('O', 'B-x')},
     'numbers from 0 to 1, one for each of names'),
    ({'tokens': ['a'], 'tags': [True]}, {'names': ('O', 'B-x')}, 'from 0 to 1'),
    ({'tokens': ['a'], 'tag': []}, {}, "no field 'tags'.*Did you mean 'tag'")])
def test_what_is_wrong_is_named(tmp_path, row, options, message):
  with pytest.raises(errors.InputError, match=message):
    found(tmp_path, row, **options)
