"""Columns as texts, and renamed labels."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers import columns


def test_columns_are_joined_by_spaces():
  row = {'a': 'x', 'b': 'y', 'c': 'z'}
  assert columns.example(row, ('a', 'c'), (), '1', 'f:1').texts == ('x z',)
  assert columns.example(row, ('a',), ('b', 'c'), '1', 'f:1').texts == (
      'x', 'y z')


def test_labels_are_renamed_and_stripped():
  name_of = columns.renamed(('0=no', '1=a=b'))
  assert [name_of(label) for label in (' 0', '1', '2 ')] == ['no', 'a=b', '2']
  with pytest.raises(errors.InputError, match="pairs such as '1=positive'"):
    columns.renamed(('no',))
