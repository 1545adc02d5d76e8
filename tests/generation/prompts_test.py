"""Prompts become rectangles of few shapes, or one clear sentence."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.generation import prompts


def pad(rows, max_new_tokens=8, context=64):
  return prompts.pad(
      rows, max_new_tokens=max_new_tokens, context=context, vocab_size=10)


def test_prompts_end_together():
  batch = pad([[1, 2, 3], np.array([4]), [5, 6]])
  assert batch.inputs_BT.shape == (4, 16)  # Rounded up, on both axes.
  np.testing.assert_array_equal(batch.inputs_BT[:, -4:], [
      [0, 1, 2, 3], [0, 0, 0, 4], [0, 0, 5, 6], [0, 0, 0, 0]])
  assert batch.lengths_B.tolist() == [3, 1, 2, 0]


def test_prompts_of_one_length_may_be_an_array():
  np.testing.assert_array_equal(
      pad(np.ones((2, 3), np.uint16)).inputs_BT[:, -4:], [[0, 1, 1, 1]] * 2)


def test_near_lengths_share_a_shape():
  def shape(length, new):
    batch = pad([[1] * length], new)
    return batch.inputs_BT.shape, batch.room
  assert shape(17, 9) == shape(30, 16) == ((1, 32), 16)


@pytest.mark.parametrize('length, new', [(1, 63), (63, 1), (40, 24), (33, 20)])
def test_buckets_stay_within_the_context(length, new):
  batch = pad([[1] * length], new)
  assert batch.inputs_BT.shape[1] >= length
  assert batch.room >= new
  assert batch.inputs_BT.shape[1] + batch.room <= 64


@pytest.mark.parametrize('rows, new, message', [
    ([], 1, 'no prompt'),
    ([[1], []], 1, 'Prompt 1 is empty'),
    ([[1], [3, 12]], 1, 'Prompt 1 holds token id 12.* 10 ids'),
    ([[-1]], 1, 'Prompt 0 holds token id -1'),
    ([[0.5]], 1, 'Prompt 0 should be a sequence of token ids'),
    ([[1]], 0, 'max_new_tokens should be at least 1; got 0'),
    ([[1], [1] * 60], 5, 'Prompt 1 has 60 tokens, .* = 5 .* the 64 that'),
    ([[1] * 70], 5, 'Prompt 0 has 70 tokens, .* = 5 .* the 64 that'),
])
def test_bad_prompts_are_refused(rows, new, message):
  with pytest.raises(errors.InputError, match=message):
    pad(rows, new)


class Letters:
  """A tokenizer of one id a letter."""

  def __init__(self, bos_id):
    self.bos_id = bos_id

  def encode(self, text):
    return np.array([ord(c) for c in text], np.uint16)


def test_a_prompt_begins_as_documents_do():
  assert prompts.encode(Letters(300), 'ab').tolist() == [300, 97, 98]
  assert prompts.encode(Letters(None), 'ab').tolist() == [97, 98]
  assert prompts.encode(Letters(300), '').tolist() == [300]
  with pytest.raises(errors.InputError, match='prompt is empty.*no BOS'):
    prompts.encode(Letters(None), '')


def test_sources_are_aligned_at_their_beginning():
  batch = prompts.pad(
      [prompts.Prompt([5], [1, 2, 3], end=4), prompts.Prompt([5], [1] * 17),
       prompts.Prompt([5, 6], [2])],
      max_new_tokens=2, context=20, vocab_size=9)
  assert batch.sources_BS.shape == (4, 20)
  assert batch.sources_BS[0].tolist() == [1, 2, 3] + [0] * 17
  assert batch.source_lengths_B.tolist() == [3, 17, 1, 0]
  assert batch.ends_B.tolist() == [4, -1, -1, -1]
  assert batch.both_ways_B is None


def test_prefixes_are_counted_where_there_are_any():
  batch = prompts.pad([prompts.Prompt([5, 6], both_ways=1), [3]],
                      max_new_tokens=2, context=20, vocab_size=9)
  assert batch.both_ways_B.tolist() == [1, 0]
  assert batch.sources_BS is None and batch.source_lengths_B is None


@pytest.mark.parametrize('sources, message', [
    ([[1], None], 'Prompt 1 has no source, and others have one'),
    ([[1], []], 'The source of prompt 1 is empty'),
    ([[1], [9]], 'The source of prompt 1 holds token id 9, .* of 9 ids'),
    ([[1], [1] * 21], 'The source of prompt 1 has 21 tokens, .* reads 20'),
])
def test_impossible_sources_are_refused(sources, message):
  with pytest.raises(errors.InputError, match=message):
    prompts.pad([prompts.Prompt([5], source) for source in sources],
                max_new_tokens=2, context=20, vocab_size=9)
