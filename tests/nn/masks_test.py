"""Attention masks, entry by entry."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import lstm
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import encoders
from lmjax.models import xlnet
from lmjax.nn import attend
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


@pytest.mark.parametrize('mask, words', [
    (jnp.ones((2, 3, 3), bool), r'masks.make.* array of bool, \(2, 3, 3\)'),
    (jnp.zeros((2, 3), jnp.int32), 'got an array of int32'),
    (None, 'got a NoneType'),
    (masks.of_length(4), 'mask is of rows of 4 tokens, but the rows have 3')])
def test_another_object_than_a_mask_is_refused(mask, words):
  with pytest.raises(errors.InputError, match=words):
    masks.check(mask, 3)


@pytest.mark.parametrize('attends', [attend.plain, attend.best])
def test_attention_refuses_an_array_as_its_mask(attends):
  q_BTNH = jnp.zeros((1, 3, 2, 4))
  with pytest.raises(errors.InputError, match='mask should be a masks.Mask'):
    attends(q_BTNH, q_BTNH, q_BTNH, jnp.ones((1, 3, 3), bool))


@pytest.mark.parametrize('preset', [
    decoders.PRESETS['tiny_llama'], encoders.PRESETS['tiny_bert'],
    encoder_decoders.PRESETS['tiny_t5'], lstm.RecurrentConfig(width=8),
    xlnet.XLNetConfig(width=8, num_heads=2)], ids=lambda c: type(c).__name__)
@pytest.mark.parametrize('inputs, mask, words', [
    ((1, 3), jnp.ones((1, 3, 3), bool), 'mask should be a masks.Mask'),
    ((1, 3), masks.of_length(2), 'rows of 2 tokens, but the rows have 3'),
    ((3,), None, r'should have 2 axes \(B[TS]\), got shape \(3,\)')])
def test_models_refuse_other_masks_and_ranks(preset, inputs, mask, words):
  model = dataclasses.replace(preset, vocab_size=9).build()
  ids = jnp.zeros(inputs, jnp.int32)
  if preset.traits.reads_source:
    call = lambda: model.init(jax.random.key(0), ids, mask,
                              encoder_inputs_BS=ids, encoder_mask=mask)
  else:
    call = lambda: model.init(jax.random.key(0), ids, mask)
  with pytest.raises(ValueError, match=words):
    jax.eval_shape(call)


@pytest.mark.parametrize('positions, segments, name', [
    ((3,), (1, 3), 'positions_BT'), ((1, 3), (3,), 'segments_BT')])
def test_positions_and_segments_of_one_axis_are_refused(
    positions, segments, name):
  with pytest.raises(ValueError, match=rf'{name} should have 2 axes \(BT\)'):
    masks.make(jnp.zeros(positions, int), jnp.ones(segments, int))
