"""Folders of words, tags and intents."""
import collections

import pytest

from lmjax.core import errors
from lmjax.tasks.readers.words import utterance_folder

LINES = {'seq.in': 'play Jo \nstop\n\n', 'seq.out': 'O B-x \nO\n\n',
         'label': 'Play\n1.0\n\n'}


def found(folder, **changed):
  for name, text in (LINES | changed).items():
    (folder / name).write_text(text)
  return list(utterance_folder.UtteranceFolder(str(folder)).examples(
      collections.Counter()))


def test_a_line_of_each_file_is_an_utterance(tmp_path):
  first, second = found(tmp_path)
  assert first[:2] == (('play', 'Jo'), ('O', 'B-x'))
  assert first.label == 'Play' and first.texts == ('play Jo',)
  assert first.where == f'{tmp_path}/seq.in:1' and second.label == '1'


@pytest.mark.parametrize('changed, message', [
    ({'seq.out': 'O\nO\n'}, 'seq.in:1: 2 words, but 1 tags'),
    ({'label': 'Play\n'}, 'has no counterpart'),
    ({'seq.in': 'play Jo\n \nx\n', 'seq.out': 'O B-x\nO\nO\n',
      'label': 'a\nb\nc\n'}, 'seq.in:2: there is no word')])
def test_files_that_do_not_fit_are_refused(tmp_path, changed, message):
  with pytest.raises(errors.InputError, match=message):
    found(tmp_path, **changed)


def test_snips(shared_data):
  examples = list(utterance_folder.UtteranceFolder(
      str(shared_data / 'snips/test')).examples())
  assert len(examples) == 700 and len({e.label for e in examples}) == 7
