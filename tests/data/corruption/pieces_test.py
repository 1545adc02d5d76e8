"""Texts out of rows, chunks out of texts, rows out of chunks."""
import numpy as np
import pytest

from lmjax.data.corruption import pieces
from tests.reference import corruptions

LENGTHS = np.random.default_rng(1).integers(1, 20, 30)


def test_texts_are_those_of_the_rows_with_or_without_the_last_target():
  rows = corruptions.rows(LENGTHS, 16)
  batch = rows.rows(0, np.arange(rows.num_rows))
  want = corruptions.texts(batch)
  for last in (False, True):
    texts = pieces.of_rows(batch, last)
    split = np.split(texts.tokens, texts.offsets[1:])
    keys = list(zip(texts.rows.tolist(), texts.segments.tolist()))
    assert keys == list(want)
    for key, ids in zip(keys, split):
      row, segment = key
      ends = batch['segments'][row, -1] == segment
      more = [int(batch['targets'][row, -1])] if (
          last and ends and batch['weights'][row, -1]) else []
      assert ids.tolist() == want[key] + more


def two():
  return pieces.Texts(np.arange(10, 17), np.array([3, 4]), np.array([0, 0]),
                      np.array([1, 2]))


def test_chunks_spell_texts_in_their_order():
  texts = two()
  chunks = pieces.Chunks.of(
      np.arange(2), (texts.offsets + 1, texts.lengths - 1), (7, 1)).join(
          pieces.Chunks.of(np.array([1]), (0, 2)))
  out = chunks.read(np.append(texts.tokens, 99), texts)
  assert out.tokens.tolist() == [11, 12, 99, 14, 15, 16, 99, 10, 11]
  assert out.lengths.tolist() == [3, 6]


def test_sums_before_each_text_restart_with_the_row():
  texts = pieces.Texts(np.zeros(9), np.array([2, 3, 4]), np.array([0, 0, 2]),
                       np.array([1, 2, 1]))
  assert texts.in_row(texts.lengths).tolist() == [0, 2, 0]


def test_layouts_by_hand():
  source = two()
  target = pieces.Texts(np.array([1, 2, 3]), np.array([3, 0]), source.rows,
                        source.segments)
  batch = pieces.pairs(source, target, 2, pieces.Sizes(8, 3, 0))
  assert batch['encoder_inputs'].tolist() == [
      [10, 11, 12, 13, 14, 15, 16, 0], [0] * 8]
  assert batch['encoder_positions'][0].tolist() == [0, 1, 2, 0, 1, 2, 3, 0]
  assert batch['encoder_segments'][0].tolist() == [1, 1, 1, 2, 2, 2, 2, 0]
  assert batch['inputs'][0].tolist() == [1, 2, 0]
  assert batch['targets'][0].tolist() == [2, 3, 0]
  assert batch['weights'][0].tolist() == [1, 1, 0]
  batch = pieces.joined(source, target, 1, pieces.Sizes(0, 0, 9))
  assert batch['inputs'][0].tolist() == [10, 11, 12, 1, 2, 13, 14, 15, 0]
  assert batch['targets'][0].tolist() == [11, 12, 1, 2, 3, 14, 15, 16, 0]
  assert batch['weights'][0].tolist() == [0, 0, 0, 1, 1, 0, 0, 0, 0]
  assert batch['prefix'][0].tolist() == [True] * 3 + [False] * 2 + [
      True] * 3 + [False]


def test_a_row_that_is_too_long_is_an_error():
  with pytest.raises(RuntimeError, match='7 tokens exceeds 6'):
    pieces.pairs(two(), two(), 1, pieces.Sizes(6, 9, 0))


def test_draws_are_uniform_and_do_not_depend_on_other_rows():
  count = 500
  texts = pieces.Texts(np.zeros(20 * count), np.full(count, 20),
                       np.arange(count), np.ones(count, int))
  draws = pieces.Draws(0, 0, range(count), 30)
  first, second = draws.each(texts), draws.of_texts(texts)
  assert len(first) == 20 * count and abs(first.mean() - 0.5) < 0.02
  assert len(np.unique(first)) == first.size
  alone = pieces.Draws(0, 0, [3], 30)
  one = pieces.Texts(np.zeros(20), *np.array([[20], [0], [1]]))
  np.testing.assert_array_equal(alone.each(one), first[60:80])
  np.testing.assert_array_equal(alone.of_texts(one), second[3:4])
  assert alone.of_rows()[0] == draws.of_rows()[3]


def test_bos_and_eos_are_stripped_where_they_are():
  texts = pieces.Texts(np.array([1, 5, 6, 2, 7, 1, 2]), np.array([4, 1, 2]),
                       np.zeros(3, int), np.arange(1, 4))
  begins, ends, rest = pieces.stripped(texts, 1, 2)
  assert begins.tolist() == [True, False, True]
  assert ends.tolist() == [True, False, True]
  assert rest.tokens.tolist() == [5, 6, 7]
  assert rest.lengths.tolist() == [2, 1, 0]
