"""Arrays are converted exactly, whatever their layout in memory."""
import ml_dtypes
import numpy as np
import pytest

from lmjax.interop.mapping import arrays

RNG = np.random.default_rng(0)


@pytest.mark.parametrize('dtype', [
    'float16', 'float32', 'float64', ml_dtypes.bfloat16])
def test_numbers_become_float32(dtype):
  array = RNG.normal(size=(5, 7)).astype(dtype)
  found = arrays.float32(array)
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, array.astype(np.float32))


def test_every_bfloat16_is_converted_exactly():
  array = np.arange(2**16, dtype=np.uint16).view(ml_dtypes.bfloat16)
  np.testing.assert_array_equal(
      arrays.float32(array), array.astype(np.float32))


@pytest.mark.parametrize('array', [
    RNG.normal(size=(37, 50)).T, RNG.normal(size=(3, 40, 17)).swapaxes(1, 2),
    RNG.normal(size=(3, 4, 5, 18)).swapaxes(0, 3), RNG.normal(size=(9, 9)),
    RNG.normal(size=20)[::2], np.float64(3), np.zeros((0, 4)).T,
    RNG.normal(size=(18, 33)).astype(ml_dtypes.bfloat16).T])
def test_the_result_is_new_and_in_row_major_order(array):
  found = arrays.float32(array)
  assert found.flags.c_contiguous and found.flags.writeable
  assert not np.shares_memory(found, array)
  np.testing.assert_array_equal(found, np.asarray(array).astype(np.float32))


@pytest.mark.parametrize('array, want', [
    (np.ones((3, 4), 'float32'), True),
    (np.array([1, np.nan], 'float32'), False),
    (np.array([[1], [np.inf]], 'float32'), False),
    (np.full(9, 3e38, 'float32'), True),  # Their squares are not.
    (np.full((2, 3), -1e30, 'float32'), True),
    (np.zeros(0, 'float32'), True)])
def test_nan_and_infinity_are_found(array, want):
  assert arrays.finite(array) is want
