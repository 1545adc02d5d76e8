"""Texts and labels in two files, line for line."""
import gzip

import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import parallel_files


def write(tmp_path, name, text):
  (tmp_path / name).write_text(text)
  return str(tmp_path / name)


def found(texts, labels, **options):
  return [tuple(e[:3]) for e in parallel_files.ParallelFiles(
      texts, labels, **options).examples()]


def test_lines_are_matched_and_blank_ones_left_out(tmp_path):
  texts = write(tmp_path, 'in', 'a b \n\nc\n')
  (tmp_path / 'out.gz').write_bytes(gzip.compress(b'O B-x\n\n1 \n'))
  assert found((texts,), (str(tmp_path / 'out.gz'),), rename=('1=one',)) == [
      ('a b ', 'O B-x', f'{texts}:1'), ('c', 'one', f'{texts}:3')]


def test_files_of_other_texts_make_pairs(tmp_path):
  one, two, three = (write(tmp_path, name, text) for name, text in (
      ('in', 'a\n\nb\n'), ('more', 'c\n\nd\n'), ('out', 'x\n\ny\n')))
  examples = list(parallel_files.ParallelFiles(
      (one,), (three,), second=(two,)).examples())
  assert [(e.texts, e.label, e.where) for e in examples] == [
      (('a', 'c'), 'x', f'{one}:1'), (('b', 'd'), 'y', f'{one}:3')]
  short = write(tmp_path, 'short', 'c\n')
  with pytest.raises(errors.InputError, match='in:2 .*short ends at line 1'):
    list(parallel_files.ParallelFiles(
        (one,), (three,), second=(short,)).examples())


@pytest.mark.parametrize('texts, labels, message', [
    ('a\nb\n', 'x\n', 'in:2 has no counterpart: .*out ends at line 1'),
    ('a\n', 'x\ny\n', 'out:2 has no counterpart: .*in ends at line 1')])
def test_files_of_other_lengths_are_refused(tmp_path, texts, labels, message):
  with pytest.raises(errors.InputError, match=message):
    found((write(tmp_path, 'in', texts),), (write(tmp_path, 'out', labels),))


def test_as_many_files_of_texts_as_of_labels_are_wanted(tmp_path):
  one, two = write(tmp_path, 'in', 'a\n'), write(tmp_path, 'out', 'x\n')
  with pytest.raises(errors.InputError, match='paths has 2 files.*labels has 1'):
    found((one, two), (two,))
