"""The interface of sources."""
import collections

import pytest

from lmjax.core import errors
from lmjax.data import documents
from lmjax.data.text import sources


def test_empty_documents_are_dropped_and_counted():
  counts = collections.Counter()
  source = sources.InMemory(('a', '', '  \n', '\u3000', ' b'))
  assert list(source.documents(counts)) == ['a', ' b']
  assert counts == {'documents': 2, 'empty documents dropped': 3}


def test_documents_can_be_read_again():
  source = sources.InMemory(('a', 'b'))
  assert list(source.documents()) == list(source.documents()) == ['a', 'b']


def test_a_source_without_text_is_refused():
  with pytest.raises(errors.InputError, match='InMemory.* holds no text'):
    list(sources.InMemory(('', ' ')).documents())


def test_lone_surrogates_are_refused_with_their_place():
  source = sources.InMemory(('ok', 'ab\ud800'))
  with pytest.raises(errors.InputError) as told:
    list(source.documents())
  assert 'Document 2' in str(told.value) and 'character 2' in str(told.value)
  assert "'\\ud800'" in str(told.value)
  assert documents.utf8('é') == b'\xc3\xa9'


def test_a_subclass_without_a_method_is_an_error():
  class Nothing(documents.Source):
    pass

  with pytest.raises(TypeError, match='Nothing should define _read'):
    list(Nothing().documents())
