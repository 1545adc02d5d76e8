"""Splits of tagged words: BIO tags, labels from training, and notes."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.words import conll
from lmjax.tasks.readers.words import spaced
from lmjax.tasks.readers.words import tagged

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


def test_other_schemes_become_bio():
  splits = tagged.Tagged(
      reader(('a b c', 'B-per E-per S-loc')), reader(('a b', 'I-per I-per')),
      reader(A)).read()
  assert splits.train[0].tags == ('B-per', 'I-per', 'B-loc')
  assert splits.test[0].tags == ('B-per', 'I-per')
  assert splits.notes[1:] == tuple(
      f'The tags of the {split} split are in {scheme}, and were rewritten in '
      'BIO.' for split, scheme in (('train', 'IOBES'), ('test', 'IOB1')))


def test_tags_that_are_not_valid_are_repaired_and_counted_or_refused():
  bad = reader(('a b c d', 'B-per O I-per I-loc'), ('e f', 'B-loc I-loc'))
  splits = tagged.Tagged(bad, reader(A), reader(A)).read()
  assert splits.train[0].tags == ('B-per', 'O', 'B-per', 'B-loc')
  assert splits.notes[1:] == (
      '2 tags of the train split are not valid BIO and were repaired as '
      'conlleval reads them; the first is example 0, word 3: I-per after O.',)
  with pytest.raises(errors.InputError, match=(
      'example 0, word 3: I-per after O is not valid BIO; 2 tags of the train '
      '.*on_bad_tags=repair')):
    tagged.Tagged(bad, reader(A), reader(A), on_bad_tags='fail').read()
  with pytest.raises(errors.InputError, match='source.on_bad_tags should be'):
    tagged.Tagged(bad, on_bad_tags='mend')


def test_what_is_no_tag_of_an_entity_is_refused_with_the_way_out():
  verbs = reader(('a b', 'O VB'))
  with pytest.raises(errors.InputError, match=(
      "example 0, word 2: 'VB' is no tag of an entity.*source.tags=names")):
    tagged.Tagged(verbs, reader(A), reader(A)).read()


def test_tags_may_be_names_and_the_most_frequent_one_comes_first():
  nouns = reader(('a b c', 'NOUN VERB NOUN'), ('d', 'ADP'))
  splits = tagged.Tagged(
      nouns, reader(('e f', 'NOUN I-x')), reader(('f', 'ADP')), tags='names'
  ).read()
  assert splits.labels == ('NOUN', 'ADP', 'VERB')
  assert splits.notes[0] == 'tags: ADP (1), NOUN (2), VERB (1).'
  assert 'not in training, which count as missed: I-x (1)' in splits.notes[1]
  with pytest.raises(errors.InputError, match='source.tags should be one of'):
    tagged.Tagged(nouns, tags='words')


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
