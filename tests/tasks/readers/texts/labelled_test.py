"""Splits of labelled text: given or held out, with labels they share."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import label_first
from lmjax.tasks.readers.texts import labelled

TEN = tuple((f'text {i}', 'ab'[i % 2]) for i in range(10))
PAIRS = in_memory.InMemory(TEN)


def test_given_splits_are_taken_as_they_are():
  test = in_memory.InMemory((('u', 'b'),))
  valid = in_memory.InMemory(((' v ', 'a'),))
  splits = labelled.Labelled(PAIRS, test, valid, held_out=0.45).read()
  assert [(e.text, e.label) for e in splits.train] == list(TEN)
  assert [e.text for e in splits.valid + splits.test] == ['v', 'u']
  assert splits.labels == ('a', 'b') and splits.notes == (
      'labels: a (5), b (5).',)


def test_what_is_held_out_is_a_part_that_others_do_not_have():
  many = in_memory.InMemory(tuple((f'text {i}', str(i % 11)) for i in range(400)))
  splits = labelled.Labelled(many, held_out=0.2).read()
  texts = [{e.text for e in part}
           for part in (splits.train, splits.valid, splits.test)]
  assert [len(part) for part in texts] == pytest.approx([240, 80, 80], abs=30)
  assert sum(map(len, texts)) == 400 == len(set.union(*texts))
  assert splits.labels == tuple(str(i) for i in range(11))  # By value.


@pytest.mark.parametrize('drop', [True, False])
def test_texts_of_other_splits_leave_training_and_are_counted(drop):
  test = in_memory.InMemory((('text 3 ', 'a'), ('new', 'b')))
  valid = in_memory.InMemory((('text 5', 'a'),))
  splits = labelled.Labelled(PAIRS, test, valid, drop_shared=drop).read()
  assert len(splits.train) == (8 if drop else 10)
  assert '2 training examples' in splits.notes[1]


@pytest.mark.parametrize('test, message', [
    ((('x', 'c'),), "example 0: label 'c' of the test split never occurs"),
    (((' ', 'a'),), 'example 0: the text is empty'),
    ((('x', ''),), 'example 0: the label is empty'),
    ((), 'The test split.* has no example'),
])
def test_bad_splits_are_refused(test, message):
  with pytest.raises(errors.InputError, match=message):
    labelled.Labelled(PAIRS, in_memory.InMemory(test), PAIRS).read()


def test_a_rare_label_that_is_held_out_is_a_class_too():
  rare = in_memory.InMemory(TEN + (('text 17', 'c'),))  # In the test split.
  splits = labelled.Labelled(rare, held_out=0.3).read()
  assert 'c' in {e.label for e in splits.valid + splits.test}
  assert splits.labels == ('a', 'b', 'c')


def test_too_few_examples_to_hold_out():
  few = in_memory.InMemory((('x', 'a'), ('y', 'b')))
  with pytest.raises(errors.InputError, match='too few to hold out'):
    labelled.Labelled(few, held_out=1e-9).read()


@pytest.mark.slow
def test_sst2_files(shared_data):
  sst2 = shared_data / 'sst2_glue'
  splits = labelled.Labelled(
      delimited.Delimited((str(sst2 / 'train_*.tsv'),), ('sentence',),
                          delimiter='\t', quoted=False),
      test=label_first.LabelFirst((str(sst2 / 'dev.label_first.txt'),)),
      valid=label_first.LabelFirst((str(sst2 / 'test.label_first.txt'),)),
      drop_shared=False).read()
  assert [len(s) for s in (splits.train, splits.valid, splits.test)] == [
      67349, 1821, 872]
  assert splits.labels == ('0', '1')


def test_pairs_are_stripped_and_known_as_pairs():
  one = in_memory.InMemory(((' a ', ' b', 'x'), ('c', 'd', 'y')))
  splits = labelled.Labelled(one, one, one, drop_shared=False).read()
  assert splits.train[0].texts == ('a', 'b') and splits.texts == 2


def test_single_texts_and_pairs_do_not_mix():
  mixed = in_memory.InMemory((('a', 'x'), ('c', 'd', 'y')))
  with pytest.raises(errors.InputError, match='example 1 has 2 texts'):
    labelled.Labelled(mixed).read()
