"""Examples in memory."""
import pytest

from lmjax.core import errors
from lmjax.tasks.readers.texts import in_memory


def test_examples_are_texts_or_pairs_with_their_label():
  one, two = in_memory.InMemory((('a', 'x'), ('b', 'c', 3.5))).examples()
  assert (one.texts, one.label, two.texts, two.label) == (
      ('a',), 'x', ('b', 'c'), '3.5')


def test_other_tuples_are_refused_with_their_place():
  for row in ('a',), (None, 'x'), 'ab', 3:
    with pytest.raises(errors.InputError, match='example 0 should be'):
      list(in_memory.InMemory((row,)).examples())
