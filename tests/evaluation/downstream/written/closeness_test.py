"""Texts are compared with their closest reference by an encoder's vectors."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation.downstream.written import closeness

VECTORS = {'up': [0, 2], 'right': [3, 0], 'both': [1, 1]}


def embed(texts):
  return np.array([VECTORS[text] for text in texts], np.float32)


def test_the_closest_reference_counts_and_an_empty_text_is_far():
  found = closeness.closeness(
      ['up', ' ', 'right'], [('right', 'both'), ('up',), ('right',)], embed)
  assert found.value == pytest.approx((0.5**0.5 + 0 + 1) / 3)
  assert found.stderr > 0


def test_texts_without_references_are_refused():
  with pytest.raises(errors.InputError, match='got 1 and 2'):
    closeness.closeness(['up'], [('up',)] * 2, embed)
