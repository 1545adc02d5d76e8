"""Rows of texts that share their beginnings, read back one by one."""
import numpy as np
import pytest

from lmjax.evaluation import branches


def _spans(count, seed=0, longest=60):
  """Random texts, of which neighbours often begin alike."""
  rng = np.random.default_rng(seed)
  spans, before = [], np.zeros(0, np.int64)
  for _ in range(count):
    kept = before[:rng.integers(0, len(before) + 1)] if rng.random() < .7 else (
        before[:0])
    new = rng.integers(0, 5, rng.integers(1, longest))
    ids = np.concatenate([kept, new, [9, 9]])[:longest]
    spans.append(branches.Span(ids, int(rng.integers(1, len(ids)))))
    before = ids
  return spans


def _read(batch, spans):
  """Returns for each text its (tokens before, target) pairs, by the mask."""
  found = [[] for _ in spans]
  inputs, ends = batch['inputs'], batch['ends']
  for number, slot in zip(batch['numbers'], batch['used']):
    row, slot = divmod(int(slot), inputs.shape[1])
    place = batch['places'][row, slot]
    seen = [s for s in range(place + 1) if ends[row, s] >= place]
    assert batch['positions'][row, seen].tolist() == list(range(len(seen)))
    assert batch['weights'][row, slot] == 1
    found[number].append(
        (inputs[row, seen].tolist(), int(batch['targets'][row, slot])))
  return found


def test_each_text_is_read_as_it_is():
  spans = _spans(60)
  wanted = [[(span.ids[:i].tolist(), int(span.ids[i]))
             for i in range(span.start, len(span.ids))] for span in spans]
  found = [[] for _ in spans]
  for batch in branches.batches(spans, 64):
    for mine, more in zip(found, _read(batch, spans)):
      mine += more
  assert found == wanted


def test_neighbours_share_their_first_tokens():
  context = np.arange(100)
  spans = [branches.Span(np.append(context, [i, 7, i]), 100)
           for i in range(40)]
  row, = branches.rows(spans, 256)
  columns = row.columns()
  assert (columns['ends'] >= 0).sum() == 100 + 40 * 2
  assert columns['weights'].sum() == 40 * 3
  same = [branches.Span(np.append(context, 7), 100)] * 2
  row, = branches.rows(same, 256)
  assert row.columns()['weights'].sum() == 1 and row.used == [0, 0]


def test_a_row_asks_for_no_more_targets_than_it_has_slots():
  spans = [branches.Span(np.array([3, i]), 1) for i in range(300)]
  assert [len(row.used) for row in branches.rows(spans, 999)] == [256, 44]


def test_rows_have_a_few_lengths_and_batches_one_size():
  lengths = {len(span.ids): [] for span in _spans(9)} and {
      length: [row.length for row in branches.rows(
          [branches.Span(np.arange(length + 1), 1)], 1500)]
      for length in (1, 128, 129, 700, 1500)}
  assert lengths == {1: [256], 128: [256], 129: [512], 700: [1500],
                     1500: [1500]}
  shapes = {batch['inputs'].shape for batch in branches.batches(
      _spans(200), 4096, devices=2)}
  assert shapes == {(8, 256)}


def test_a_text_that_no_row_can_hold_is_an_error():
  with pytest.raises(ValueError, match='Text 1 has 12 tokens'):
    list(branches.rows(
        [branches.Span(np.arange(n), 1) for n in (11, 12)], 10))
