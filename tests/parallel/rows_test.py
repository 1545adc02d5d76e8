"""Rows divide, or are filled up and cut again."""
import types

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.parallel import rows


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


def test_a_batch_is_cut_into_parts_by_rows():
  batch = {'a': np.arange(8), 'b': np.ones((8, 2))}
  found = rows.part(batch, 1, 4)
  np.testing.assert_array_equal(found['a'], [2, 3])
  assert found['b'].shape == (2, 2)


@pytest.mark.parametrize('needs,wanted', [
    ([(0, 4), (4, 8)], [(0, 2), (1, 2)]),
    ([(0, 2), (0, 2), (2, 4), (2, 4)], [(0, 2), (0, 2), (1, 2), (1, 2)]),
    ([(0, 1), (0, 1)], [(0, 1), (0, 1)]),
    ([(0, 2), (1, 3)], [(0, 1), (0, 1)]),  # The middle one is read by both.
    ([(0, 2), (1, 3), (3, 5), (4, 6)], [(0, 2), (0, 2), (1, 2), (1, 2)]),
    ([(0, 8)], [(0, 1)])])
def test_each_process_reads_the_rows_that_its_devices_need(needs, wanted):
  parts = max(high for _, high in needs)
  where = types.SimpleNamespace(
      devices_indices_map=lambda shape: _devices(needs))
  assert [rows.share(where, parts, i) for i in range(len(needs))] == wanted


class _Device:
  def __init__(self, process_index):
    self.process_index = process_index


def _devices(needs):
  """Returns which rows each device holds, one row a device."""
  return {_Device(i): (slice(row, row + 1),)
          for i, (low, high) in enumerate(needs) for row in range(low, high)}
