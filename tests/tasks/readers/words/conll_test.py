"""Columns of tagged words: sentences, and lines that are refused."""
import gzip

import pytest

from lmjax.core import errors
from lmjax.tasks.readers.words import conll


def write(tmp_path, text, name='a.conll'):
  path = tmp_path / name
  path.write_bytes(text.encode())
  return str(path)


def found(path, **options):
  return [(list(s.words), list(s.tags), s.where.rpartition(':')[2])
          for s in conll.Conll((path,), **options).examples()]


def test_sentences_end_at_blank_lines_and_at_the_end(tmp_path):
  text = 'Jo\tB-per\nsings\t O\n\t\n\n\nNew York \tB-loc\n'
  assert found(write(tmp_path, text)) == [
      (['Jo', 'sings'], ['B-per', 'O'], '1'), (['New York'], ['B-loc'], '6')]


def test_documents_begin_with_a_line_that_is_no_word(tmp_path):
  text = ('-DOCSTART- -X- O O\n\nEU NNP I-NP I-ORG\n.  . O O\n'
          '-DOCSTART- -X- O O\nJo NNP I-NP I-PER\n\n')
  assert found(write(tmp_path, text)) == [
      (['EU', '.'], ['I-ORG', 'O'], '3'), (['Jo'], ['I-PER'], '6')]
  assert found(write(tmp_path, text), tag=2)[0][1] == ['I-NP', 'O']
  assert found(write(tmp_path, text), word=1, tag=-1)[1][0] == ['NNP']


def test_line_ends_byte_order_marks_and_archives_are_read(tmp_path):
  text = '\ufeffJo\tB-per\r\nsings\tO\r\n\r\nHa\tO\r\n'
  expected = [(['Jo', 'sings'], ['B-per', 'O'], '1'), (['Ha'], ['O'], '4')]
  assert found(write(tmp_path, text)) == expected
  path = tmp_path / 'a.conll.gz'
  path.write_bytes(gzip.compress(text.encode()))
  assert found(str(path)) == expected


def test_a_number_sign_is_a_word_unless_it_begins_comments(tmp_path):
  path = write(tmp_path, '# O\nJo B-per\n')
  assert found(path)[0][0] == ['#', 'Jo']
  assert found(path, comments='#') == [(['Jo'], ['B-per'], '2')]


@pytest.mark.parametrize('text, options, message', [
    ('Jo\tB-per\nsings\n', {},
     'a.conll:2: 1 columns, but line 1 has 2; a line is a word'),
    ('Jo\tB-per\n', {'word': 3}, 'no column 3 for the word among 2'),
    ('Jo\tB-per\n', {'tag': -3}, 'no column -3 for the tag among 2'),
    ('\tB-per\n', {}, 'a.conll:1: the word is empty'),
    ('Jo\t\n', {}, 'a.conll:1: the tag is empty'),
    ('', {}, 'is empty'),
])
def test_malformed_lines_are_named(tmp_path, text, options, message):
  with pytest.raises(errors.InputError, match=message):
    found(write(tmp_path, text), **options)


def test_wnut17_files(shared_data):
  reader = lambda name: conll.Conll((str(shared_data / 'wnut17' / name),))
  counts = [len(list(reader(name).examples())) for name in (
      'wnut17train.conll', 'emerging.dev.conll', 'emerging.test.annotated')]
  assert counts == [3394, 1009, 1287]
