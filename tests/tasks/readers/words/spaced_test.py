"""Tagged words from readers of labelled text."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import parallel_files
from lmjax.tasks.readers.words import spaced


def found(*pairs):
  return list(spaced.Spaced(in_memory.InMemory(pairs)).examples())


def test_lists_may_be_json():
  sentence, = found(('["New York", "!"]', '["B-loc", "O"]'))
  assert sentence[:2] == (('New York', '!'), ('B-loc', 'O'))


def test_words_and_tags_are_matched():
  first, second = found(('play  Jo ', 'O B-per'), ('no', 'O'))
  assert first.words == ('play', 'Jo') and first.tags == ('O', 'B-per')
  assert second.where == 'example 1'


def test_another_number_of_tags_is_refused():
  with pytest.raises(errors.InputError, match='example 0: 2 words, but 1 tags'):
    found(('a b', 'O'))


def test_snips_files(shared_data):
  files = [(str(shared_data / 'snips/test' / name),)
           for name in ('seq.in', 'seq.out')]
  sentences = list(spaced.Spaced(
      parallel_files.ParallelFiles(*files)).examples())
  assert len(sentences) == 700
  assert sentences[0].words[:3] == ('add', 'sabrina', 'salerno')
  assert sentences[0].tags[:3] == ('O', 'B-artist', 'I-artist')
