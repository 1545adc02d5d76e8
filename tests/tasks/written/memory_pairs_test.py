"""Pairs in memory have a source and a target."""
import pytest

from lmjax.core import errors
from lmjax.tasks.written import memory_pairs


def test_further_texts_are_references():
  pairs = memory_pairs.MemoryPairs((('a', 'b'), ('c', 'd', 'e'))).examples()
  assert [pair.targets for pair in pairs] == [('b',), ('d', 'e')]


@pytest.mark.parametrize('row', [('a',), 'ab', ('a', 1)])
def test_other_rows_are_refused(row):
  with pytest.raises(errors.InputError, match='pair 0 should be texts'):
    list(memory_pairs.MemoryPairs((row,)).examples())
