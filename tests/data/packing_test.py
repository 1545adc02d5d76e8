"""Rows of tokens, against plain loops over documents."""
import collections

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import packing
from lmjax.data import token_store as store_lib

_KEYS = ['inputs', 'positions', 'segments', 'targets', 'weights']


def _store(lengths) -> store_lib.TokenStore:
  """Returns documents of these lengths, whose tokens all differ."""
  offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
  tokens = np.arange(1, offsets[-1] + 1).astype(np.uint16)
  return store_lib.TokenStore(tokens, offsets, None, {})


def _all(rows, epoch=0):
  return rows.rows(epoch, np.arange(rows.num_rows))


def _pairs(batch):
  """Returns how often each (input, target) counts."""
  counts = batch['weights'] > 0
  return collections.Counter(zip(
      batch['inputs'][counts].tolist(), batch['targets'][counts].tolist()))


CASES = [([3, 1, 7, 2, 2, 9, 1, 1, 4], 4), ([5, 5], 9), ([20], 3), ([1] * 9, 2),
         (np.random.default_rng(0).integers(1, 30, 50), 16), ([8], 7)]


@pytest.mark.parametrize('shuffle', [False, True])
@pytest.mark.parametrize('lengths, length', CASES)
def test_packed_predicts_every_token_once_within_its_document(
    lengths, length, shuffle):
  store = _store(lengths)
  rows = packing.Packed(shuffle).build(store, length, seed=3)
  want = collections.Counter()
  for i in range(store.num_documents):
    ids = store.document(i).tolist()
    want.update(zip(ids[:-1], ids[1:]))
  for epoch in range(3):
    assert _pairs(_all(rows, epoch)) == want


@pytest.mark.parametrize('shuffle', [False, True])
@pytest.mark.parametrize('lengths, length', CASES)
def test_packed_marks_documents_by_segment_and_position(
    lengths, length, shuffle):
  store = _store(lengths)
  document_of = np.repeat(np.arange(store.num_documents), lengths)
  batch = _all(packing.Packed(shuffle).build(store, length, seed=5))
  assert sorted(batch) == _KEYS
  for inputs, segments, positions, weights in zip(
      batch['inputs'], batch['segments'], batch['positions'],
      batch['weights']):
    segment, position, before = 0, 0, None
    for t in range(length):
      if inputs[t] == 0:  # Padding: nothing follows it, nothing counts.
        assert not inputs[t:].any() and not weights[t:].any()
        assert not segments[t:].any() and not positions[t:].any()
        break
      document = document_of[inputs[t] - 1]
      begins = document != before
      segment += begins
      position = 0 if begins else position + 1
      before = document
      assert segments[t] == segment and positions[t] == position


@pytest.mark.parametrize('lengths, length', CASES)
def test_concatenated_predicts_every_token_but_the_first(lengths, length):
  store = _store(lengths)
  rows = packing.Concatenated(shuffle=False).build(store, length, seed=0)
  batch = _all(rows)
  total = store.num_tokens
  assert _pairs(batch) == {(i, i + 1): 1 for i in range(1, total)}
  real = batch['inputs'] > 0
  np.testing.assert_array_equal(batch['segments'], real)
  np.testing.assert_array_equal(
      batch['positions'], np.arange(length)[None] * real)


def test_epochs_and_seeds_have_different_orders():
  store = _store([2] * 40)
  rows = packing.Packed().build(store, 8, seed=0)
  first = _all(rows, 0)['inputs']
  assert (first != _all(rows, 1)['inputs']).any()
  again = packing.Packed().build(store, 8, seed=0)
  np.testing.assert_array_equal(first, _all(again, 0)['inputs'])
  other = packing.Packed().build(store, 8, seed=1)
  assert (first != _all(other, 0)['inputs']).any()


def test_rows_come_in_another_order_than_their_documents():
  """Else the parts of a long document would follow each other in a batch."""
  rows = packing.Packed().build(_store([401]), 4, seed=0)
  firsts = _all(rows)['inputs'][:, 0]
  assert (np.diff(firsts) != 4).sum() > 50


@pytest.mark.parametrize(
    'config', [packing.Packed(), packing.Concatenated(), packing.Crops()])
def test_a_row_depends_on_its_index_alone(config):
  rows = config.build(_store([7, 30, 2, 11]), 6, seed=1)
  together = _all(rows, 2)
  for i in reversed(range(rows.num_rows)):
    alone = rows.rows(2, np.array([i]))
    for key in _KEYS:
      np.testing.assert_array_equal(alone[key][0], together[key][i], key)
      assert alone[key].dtype == (
          np.float32 if key == 'weights' else np.int32)


def test_crops_are_uniform_over_every_place():
  store = _store([10, 20])
  rows = packing.Crops().build(store, 6, seed=0)
  batches = [_all(rows, epoch) for epoch in range(800)]
  inputs = np.concatenate([batch['inputs'] for batch in batches])
  targets = np.concatenate([batch['targets'] for batch in batches])
  np.testing.assert_array_equal(inputs + 1, targets)
  counts = np.bincount(inputs[:, 0], minlength=25)[1:]
  assert len(counts) == 24  # 30 - 6 windows have all their targets.
  expected = len(inputs) / 24
  assert np.abs(counts - expected).max() < 5 * expected**.5
  assert batches[0]['weights'].all() and (batches[0]['segments'] == 1).all()


@pytest.mark.parametrize(
    'config', [packing.Packed(), packing.Concatenated(), packing.Crops()])
def test_a_row_longer_than_the_data_is_refused(config):
  with pytest.raises(errors.InputError, match='length=12.*12 tokens'):
    config.build(_store([5, 7]), 12, seed=0)
  assert config.build(_store([5, 7]), 11, seed=0).num_rows >= 1
  with pytest.raises(errors.InputError, match='at least 1'):
    config.build(_store([5, 7]), 0, seed=0)
