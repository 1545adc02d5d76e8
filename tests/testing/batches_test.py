"""What a row holds, by hand."""
import numpy as np
import pytest

from lmjax.testing import batches

DOCS = [np.array([1, 2, 3, 4]), np.array([5, 6]), np.array([7, 8, 9])]


def test_alone_has_one_document_per_row():
  batch = batches.alone(DOCS, 4)
  assert batch['inputs'].tolist() == [[1, 2, 3, 0], [5, 0, 0, 0], [7, 8, 0, 0]]
  assert batch['targets'].tolist() == [
      [2, 3, 4, 0], [6, 0, 0, 0], [8, 9, 0, 0]]
  assert batch['positions'].tolist() == [
      [0, 1, 2, 0], [0, 0, 0, 0], [0, 1, 0, 0]]
  np.testing.assert_array_equal(batch['segments'], batch['weights'])


def test_packed_fills_rows_in_order():
  batch = batches.packed(DOCS, 5)
  assert batch['inputs'].tolist() == [[1, 2, 3, 5, 0], [7, 8, 0, 0, 0]]
  assert batch['segments'].tolist() == [[1, 1, 1, 2, 0], [1, 1, 0, 0, 0]]
  assert batch['positions'].tolist() == [[0, 1, 2, 0, 0], [0, 1, 0, 0, 0]]


def test_packed_by_default_is_one_row():
  assert batches.packed(DOCS)['segments'].tolist() == [[1, 1, 1, 2, 3, 3, 0, 0]]


def test_scrambled_changes_padding_alone():
  batch = batches.alone(DOCS, 9)
  noisy = batches.scrambled(batch, 10)
  real = batch['segments'] > 0
  for name in batch:
    np.testing.assert_array_equal(noisy[name][real], batch[name][real])
  for name in ('inputs', 'targets', 'positions'):
    assert np.any(noisy[name] != batch[name])
  for name in ('weights', 'segments'):
    np.testing.assert_array_equal(noisy[name], batch[name])


def test_a_document_longer_than_the_row_is_refused():
  with pytest.raises(ValueError, match='3 predicted tokens .* row of 2'):
    batches.alone(DOCS, 2)


def test_rows_are_cut_from_every_array():
  assert batches.rows(batches.alone(DOCS), 1, 2)['inputs'].tolist() == [
      [5, 0, 0]]
