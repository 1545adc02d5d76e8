"""Splits of tagged words: BIO tags, labels from training, and notes."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers import conll
from lmjax.tasks.readers import in_memory
from lmjax.tasks.readers import spaced
from lmjax.tasks.readers import tagged

A = ('Jo is in Rome', 'B-per O O B-loc')


def reader(*pairs):
  return spaced.Spaced(in_memory.InMemory(pairs))


def test_labels_are_o_and_the_tags_of_training_by_type():
  splits = tagged.Tagged(
      reader(('a b c d', 'B-per I-per O B-loc')), reader(A), reader(A)).read()
  assert splits.labels == ('O', 'B-loc', 'B-per', 'I-per')
  assert splits.notes == ('entities: loc (1), per (1).',)
  assert splits.test[0].words == ('Jo', 'is', 'in', 'Rome')
  assert splits.texts == 1 and len(splits.digest()) == 64


def test_other_schemes_become_bio_and_are_refused():
  splits = tagged.Tagged(
      reader(('a b c', 'B-per E-per S-loc')), reader(('a b', 'I-per I-per')),
      reader(A)).read()
  assert splits.train[0].tags == ('B-per', 'I-per', 'B-loc')
  assert splits.test[0].tags == ('B-per', 'I-per')
  assert splits.notes[1:] == ('3 tags were not in BIO and were rewritten.',)


def test_tags_that_training_never_shows_are_refused():
  splits = tagged.Tagged(
      reader(('a b', 'O B-per')), reader(('x y z', 'B-new I-new B-per')),
      reader(A)).read()
  assert splits.labels == ('O', 'B-per')
  assert splits.notes[-1] == (
      'The test split has tags that are not in training, which count as '
      'missed: B-new (1), I-new (1).')
  assert 'valid' in splits.notes[1] and 'B-loc (1)' in splits.notes[1]


def test_shared_sentences_leave_training_but_not_their_tags():
  splits = tagged.Tagged(
      reader(A, ('x', 'O')), reader(A), reader(('y', 'O'))).read()
  assert [s.words for s in splits.train] == [('x',)]
  assert splits.labels == ('O', 'B-loc', 'B-per')
  assert '1 training examples whose text is also' in splits.notes[1]


def test_what_is_held_out_shares_no_sentence_with_training():
  many = reader(*((f'w{i} x', 'B-per O') for i in range(300)))
  splits = tagged.Tagged(many, held_out=0.2).read()
  words = [{s.words for s in part}
           for part in (splits.train, splits.valid, splits.test)]
  assert len(set.union(*words)) == 300 == sum(map(len, words))
  assert len(words[2]) == pytest.approx(60, abs=25)


@pytest.mark.parametrize('test, message', [
    (reader(), 'The test split.*has no sentence'),
    (conll.Conll(()), 'paths is empty')])
def test_empty_splits_are_refused(test, message):
  with pytest.raises(errors.InputError, match=message):
    tagged.Tagged(reader(A), test, reader(A)).read()


def test_training_without_an_entity_is_refused():
  with pytest.raises(errors.InputError, match='no entity: every tag is O'):
    tagged.Tagged(reader(('a', 'O')), reader(A), reader(A)).read()
