"""Neighbours within documents, against loops."""
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.nn import masks
from lmjax.nn import neighbours

SEGMENTS = np.array([[1, 1, 1, 2, 2, 0], [1, 2, 2, 2, 2, 2]])
X = np.random.default_rng(0).standard_normal((2, 6, 3)).astype(np.float32)


@pytest.mark.parametrize('offset', range(-7, 8))
def test_a_neighbour_is_of_the_same_document_or_0(offset):
  expected = np.zeros_like(X)
  for row, t in np.ndindex(2, 6):
    other = t + offset
    if 0 <= other < 6 and SEGMENTS[row, t] == SEGMENTS[row, other] > 0:
      expected[row, t] = X[row, other]
  found = neighbours.at(jnp.asarray(X), jnp.asarray(SEGMENTS), offset)
  np.testing.assert_array_equal(found, expected)


def test_documents_are_those_of_the_mask():
  mask = masks.make(jnp.zeros((1, 6), int), jnp.asarray(SEGMENTS[:1]))
  found = neighbours.segments(mask, 2, 6)
  assert found.tolist() == [SEGMENTS[0].tolist()] * 2
  assert neighbours.segments(None, 2, 3).tolist() == [[1] * 3] * 2
  assert neighbours.segments(masks.of_length(3), 2, 3).tolist() == [[1] * 3] * 2
  with pytest.raises(errors.InputError):
    neighbours.segments(mask, 2, 5)
