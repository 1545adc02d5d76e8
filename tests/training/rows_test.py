"""Rows divide, or are filled up and cut again."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.training import rows


def test_tells_the_nearest_batch_size():
  rows.check(16, 8, 'devices')
  with pytest.raises(errors.InputError, match='13 rows.*8 devices.*is 16'):
    rows.check(13, 8, 'devices')


def test_short_batches_are_filled_to_the_largest_and_a_multiple():
  seen = []

  def double(params, batch):
    seen.append(rows.count(batch))
    return {'out': batch['x'] * params}

  call = rows.filled(double, 4)
  for size in 5, 8, 3:
    x = np.arange(size * 2.0).reshape(size, 2)
    np.testing.assert_array_equal(call(2.0, {'x': x})['out'], 2 * x)
  assert seen == [8, 8, 8]
