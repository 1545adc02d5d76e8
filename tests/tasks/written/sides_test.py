"""Where the tokens of source and target stand, token by token."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.models import decoder
from lmjax.models import encoder_decoder
from lmjax.models import lstm
from lmjax.tasks.written import sides

BYTES = symbols.Bytes(bos=True, eos=True).build()
BOS, EOS = BYTES.bos_id, BYTES.eos_id
SOURCES = [np.array([7, 8, 9], np.int32), np.array([6], np.int32)]
TARGETS = [np.array([1, 2], np.int32), np.array([3, 4, 5], np.int32)]


def test_apart_the_decoder_reads_the_target_one_token_late():
  layout = sides.Apart()
  start = layout.start(BYTES)
  assert start == [BOS]
  batch = layout.batch(SOURCES, TARGETS, start, (3, 4, 3))
  assert batch['encoder_inputs'].tolist() == [
      [7, 8, 9, 0], [6, 0, 0, 0], [0] * 4]
  assert batch['encoder_segments'].sum(axis=1).tolist() == [3, 1, 0]
  assert batch['inputs'].tolist() == [[BOS, 1, 0], [BOS, 3, 4], [0] * 3]
  assert batch['positions'].tolist() == [[0, 1, 0], [0, 1, 2], [0] * 3]
  assert (batch['targets'] * batch['weights']).tolist() == [
      [1, 2, 0], [3, 4, 5], [0] * 3]
  assert batch['weights'].sum() == batch['segments'].sum() == 5
  prompts = layout.prompts(
      batch | {'ends': np.full(3, EOS)}, np.array([1, 0, 0]), 8)
  assert prompts.lengths_B.tolist() == [1, 0, 0]
  assert prompts.source_lengths_B.tolist() == [3, 1, 0]


def test_a_published_decoder_starts_from_its_own_id():
  class Published:  # As of BART: </s> <s> text </s>.
    start_id, eos_id = 2, 2
    frame = staticmethod(BYTES.frame)

  assert sides.Apart().start(Published) == [2, BOS]
  batch = sides.Apart().batch(SOURCES, TARGETS, [2, 10], (2, 4, 3))
  assert batch['inputs'].tolist() == [[2, 10, 1, 0], [2, 10, 3, 4]]
  assert (batch['targets'] * batch['weights']).tolist() == [
      [0, 1, 2, 0], [0, 3, 4, 5]]


def test_joined_the_target_follows_the_source_and_alone_counts():
  layout = sides.Joined(both_ways=True)
  batch = layout.batch(SOURCES, TARGETS, [], (3, 4, 3))
  assert batch['inputs'].tolist() == [
      [7, 8, 9, 1, 0, 0], [6, 3, 4, 0, 0, 0], [0] * 6]
  assert batch['positions'].tolist() == [
      [0, 1, 2, 3, 0, 0], [0, 1, 2, 0, 0, 0], [0] * 6]
  assert batch['prefix'].sum(axis=1).tolist() == [3, 1, 0]
  assert (batch['places'] * batch['weights']).tolist() == [
      [2, 3, 0], [0, 1, 2], [0] * 3]
  prompts = layout.prompts(
      batch | {'ends': np.full(3, EOS)}, np.array([1, 1, 0]), 8)
  assert prompts.inputs_BT.tolist() == [[0, 7, 8, 9], [0, 0, 0, 6], [0] * 4]
  assert prompts.both_ways_B.tolist() == [3, 1, 0]
  assert 'prefix' not in sides.Joined().batch(SOURCES, TARGETS, [], (3, 4, 3))


def test_a_long_source_is_cut_before_the_separator():
  ids = np.arange(9, dtype=np.int32)
  row, is_cut = sides.Joined(separator='=').source(ids, 6, BYTES)
  assert row.tolist() == [BOS, 0, 1, 2, 3, ord('=')] and is_cut
  row, is_cut = sides.Joined(separator='=').source(ids[:4], 6, BYTES)
  assert len(row) == 6 and not is_cut
  with pytest.raises(errors.InputError, match='no room is left'):
    sides.Joined(separator='abcdef').source(ids, 6, BYTES)


@pytest.mark.parametrize('layout, backbone, message', [
    (sides.Apart(), decoder.DecoderConfig(), 'layout.kind=Joined'),
    (sides.Joined(), encoder_decoder.EncoderDecoderConfig(),
     'layout.kind=Apart'),
    (sides.Joined(), decoder.DecoderConfig(causal=False), 'causal=True'),
    (sides.Joined(both_ways=True), lstm.RecurrentConfig(),
     'both_ways=False')])
def test_a_layout_that_does_not_fit_the_model_is_refused(
    layout, backbone, message):
  with pytest.raises(errors.InputError, match=message):
    layout.check(backbone)


def test_a_tokenizer_without_an_end_is_refused():
  with pytest.raises(errors.InputError, match='tokenizer.eos=True'):
    sides.end(symbols.Bytes(bos=True, eos=False).build())
