"""Streams that a state can follow from step to step."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import continuous
from lmjax.data import pipeline
from lmjax.data import token_store as store_lib


def _store(lengths):
  offsets = np.cumsum([0, *lengths])
  return store_lib.TokenStore(
      np.arange(1, offsets[-1] + 1, dtype=np.uint16), offsets,
      None, {'digest': ''})


def _batches(lengths, streams, length):
  rows = continuous.Continuous(streams).build(_store(lengths), length, 0)
  assert rows.num_rows % streams == 0
  return pipeline.Batches(rows, streams, length, 1000, {}), (
      rows.num_rows // streams)


def test_each_row_continues_the_row_of_the_step_before():
  batches, steps = _batches([21], streams=2, length=4)
  assert steps == 3
  joined = {key: np.concatenate([batches(s)[key] for s in range(steps)], 1)
            for key in batches(0)}
  assert joined['inputs'].tolist() == [
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0],
      [11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 0, 0]]
  assert joined['targets'][1].tolist() == [
      12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 0, 0]
  for row in range(2):
    assert joined['positions'][row].tolist() == [*range(10), 0, 0]
    assert joined['segments'][row].tolist() == [1] * 10 + [0] * 2
    assert joined['weights'][row].tolist() == [1] * 10 + [0] * 2


def test_an_epoch_begins_as_the_one_before():
  batches, steps = _batches([50, 17], streams=3, length=5)
  for key, value in batches(1).items():
    np.testing.assert_array_equal(value, batches(steps + 1)[key])
    assert value.dtype == (np.float32 if key == 'weights' else np.int32)


@pytest.mark.parametrize('lengths, streams, length', [
    ([7, 30, 2, 11], 3, 4), ([7, 1, 1, 5], 1, 5), ([9, 8], 4, 100)])
def test_a_loop_over_documents_agrees(lengths, streams, length):
  batches, steps = _batches(lengths, streams, length)
  ends = np.cumsum(lengths)
  total = int(ends[-1])
  part = -(-(total - 1) // streams)
  predicted = []
  for s in range(steps):
    batch = batches(s)
    for i in range(streams):
      for t in range(length):
        place = i * part + s * length + t
        real = s * length + t < part and place < total - 1
        assert (batch['segments'][i, t] > 0) == real
        if not real:
          assert batch['weights'][i, t] == 0
          continue
        document = int(np.searchsorted(ends, place, side='right'))
        start = max(([0, *ends])[document], i * part)
        assert batch['inputs'][i, t] == place + 1
        assert batch['targets'][i, t] == place + 2
        assert batch['positions'][i, t] == place - start
        first = place + 1 in ends
        assert batch['weights'][i, t] == (not first)
        predicted += [] if first else [place + 2]
  starts = {1, *(ends[:-1] + 1).tolist()}
  assert sorted(predicted) == [
      n for n in range(1, total + 1) if n not in starts]


def test_impossible_streams_are_refused():
  with pytest.raises(errors.InputError, match='streams should be at least 1'):
    continuous.Continuous(0)
  with pytest.raises(errors.InputError, match='streams is 9.*only 9 tokens'):
    continuous.Continuous(9).build(_store([9]), 3, 0)
  with pytest.raises(errors.InputError, match='length should'):
    continuous.Continuous(2).build(_store([9]), 0, 0)
  with pytest.raises(errors.InputError, match='streams is 20.*batch_size is 8'):
    pipeline.DataConfig(packing=continuous.Continuous(20), batch_size=8)
