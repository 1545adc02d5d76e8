"""Columns as texts, however they are named."""
import pytest

from lmjax.core import config
from lmjax.tasks.readers.texts import columns
from lmjax.tasks.readers.texts import delimited


def test_columns_are_joined_by_spaces():
  row = {'a': 'x', 'b': 'y', 'c': 'z'}
  assert columns.example(row, ('a', 'c'), (), '1', 'f:1').texts == ('x z',)
  assert columns.example(row, ('a',), ('b', 'c'), '1', 'f:1').texts == (
      'x', 'y z')


@pytest.mark.parametrize('text', [3, (3,), '3', ('3',), [3]])
def test_one_column_or_a_number_is_a_column_too(text):
  reader = delimited.Delimited(('a.csv',), text=text, label=1, second=0)
  assert (reader.text, reader.second, reader.label) == (('3',), ('0',), '1')
  assert config.freeze(delimited.Delimited, config.to_dict(reader)) == reader
