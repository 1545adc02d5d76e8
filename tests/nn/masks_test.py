"""Attention masks, entry by entry."""
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.nn import masks

POSITIONS = np.array([[0, 1, 2, 0, 1, 0, 0]], np.int32)
SEGMENTS = np.array([[1, 1, 1, 2, 2, 0, 0]], np.int32)


def slow(positions, segments, causal, window):
  """The definition, by loops."""
  rows, length = positions.shape
  mask = np.zeros((rows, length, length), bool)
  for b in range(rows):
    for t in range(length):
      for s in range(length):
        offset = positions[b, t] - positions[b, s]
        mask[b, t, s] = (
            segments[b, t] == segments[b, s] and segments[b, s] > 0
            and (not causal or offset >= 0)
            and (window is None or abs(offset) < window))
  return mask


@pytest.mark.parametrize('square', [True, False])
@pytest.mark.parametrize('window', [None, 1, 2])
@pytest.mark.parametrize('causal', [True, False])
def test_packed_documents(causal, window, square):
  mask = masks.make(POSITIONS, SEGMENTS, causal=causal)
  mask = mask.replace(window=window, square=square)
  np.testing.assert_array_equal(
      mask.dense(), slow(POSITIONS, SEGMENTS, causal, window))


def test_order_by_index_is_order_by_position_within_each_segment():
  left = np.array([[0, 0, 0, 1, 2]]), np.array([[0, 0, 1, 1, 1]])
  for positions, segments in ((POSITIONS, SEGMENTS), left):
    by_index = masks.make(positions, segments)
    np.testing.assert_array_equal(
        by_index.dense(), by_index.replace(square=False).dense())


def test_a_row_without_padding_is_a_triangle_shared_by_the_batch():
  np.testing.assert_array_equal(
      masks.of_length(4).dense(), np.tri(4, dtype=bool)[None])
  assert bool(jnp.all(masks.of_length(4, causal=False).dense()))


def test_a_cache_compares_positions_not_slots():
  mask = masks.Mask(
      query_positions_BT=np.array([[2], [1]]),
      key_positions_BS=np.array([[0, 1, 2, 0], [0, 0, 1, 0]]),
      query_segments_BT=np.array([[1], [1]]),
      key_segments_BS=np.array([[1, 1, 1, 0], [0, 1, 1, 0]]))
  assert mask.dense().astype(int).tolist() == [[[1, 1, 1, 0]], [[0, 1, 1, 0]]]


def test_an_extra_condition_only_hides_keys():
  extra = np.array([[[1, 1, 1], [0, 1, 1], [1, 0, 1]]], bool)
  mask = masks.of_length(3).replace(extra_BTS=extra)
  assert mask.dense().astype(int).tolist() == [
      [[1, 0, 0], [0, 1, 0], [1, 0, 1]]]


def test_distances_are_queries_minus_keys():
  assert masks.make(POSITIONS).distances()[0, 2].tolist() == [
      2, 1, 0, 2, 1, 2, 2]


def test_a_prefix_is_seen_by_its_own_document_alone():
  read = np.array([[1, 1, 0, 1, 0, 1, 1]], bool)
  mask = masks.prefix(POSITIONS, SEGMENTS, read).dense()
  causal = slow(POSITIONS, SEGMENTS, True, None)
  both = slow(POSITIONS, SEGMENTS, False, None)
  want = np.where(read[:, None], both, causal)
  np.testing.assert_array_equal(mask, want)
  assert np.any(want != causal) and np.any(want != both)
