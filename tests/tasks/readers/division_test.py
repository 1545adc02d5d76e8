"""Splits that share no text, and the order of labels."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers import division
from lmjax.tasks import task


def examples(*texts):
  return [task.Example(text, 'x', '') for text in texts]


def test_pairs_are_shared_only_if_both_texts_are():
  train = [task.Example('a', 'x', '', 'b'), task.Example('a', 'x', '', 'c')]
  given = {'train': train, 'valid': train[:1], 'test': train[:1]}
  found = division.divide(given, held_out=0.1, drop_shared=True)
  assert found.train == train[1:] and found.dropped == train[:1]
  assert '1 training examples' in found.notes[0]


def test_held_out_texts_leave_training():
  given = {'train': examples(*map(str, range(200))), 'valid': None,
           'test': examples('new')}
  found = division.divide(given, held_out=0.3, drop_shared=True)
  assert len(found.valid) == pytest.approx(60, abs=25)
  assert len(found.train) + len(found.valid) == 200 and not found.notes


def test_an_empty_split_is_refused():
  with pytest.raises(errors.InputError, match='test split is empty: 1 example'):
    division.divide({'train': examples('a'), 'valid': examples('b'),
                     'test': None}, held_out=1e-9, drop_shared=True)
