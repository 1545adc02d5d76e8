"""Pairs share few shapes, and texts that are cut are counted."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.tokenizers import symbols
from lmjax.tasks.written import example
from lmjax.tasks.written import pair_rows
from lmjax.tasks.written import sides

BYTES = symbols.Bytes(bos=True, eos=True).build()
FEATURES = pair_rows.PairFeatures(
    lengths=(6, 9), target_lengths=(4, 5), batch_size=2, prefix='',
    target_prefix='')


def build(*pairs, layout=sides.Apart(), asked=None, tokenizer=BYTES):
  pairs = [example.Pair(source, targets, f'pair {i}')
           for i, (source, *targets) in enumerate(pairs)]
  asked = np.ones(len(pairs), np.int32) if asked is None else np.array(asked)
  return FEATURES.build(pairs, layout, tokenizer, asked)


def test_a_pair_takes_the_first_lengths_that_fit_both_of_its_texts():
  rows = build(('abcd', 'xyz'), ('a', 'xyzu'), ('abcde', 'x'), ('ab',))
  assert rows.sizes.tolist() == [6, 9, 9, 6]
  shapes = [(batch['encoder_inputs'].shape, batch['targets'].shape)
            for _, batch in rows.once()]
  assert shapes == [((2, 6), (2, 4)), ((2, 9), (2, 5))]
  batches = rows.batches(0)
  seen = sorted(i for step in range(batches.steps_per_epoch)
                for row in batches.documents(step) for i in row)
  assert seen == [0, 1, 2, 3]


def test_long_texts_are_cut_and_counted_and_a_cut_target_has_no_end():
  rows = build(('abcdefgh', 'xyzuv'), ('a', 'xyzu'))
  assert rows.cut == (1, 1) and rows.truncated == 2
  assert bytes(rows.targets[0].astype(np.uint8)) == b'xyzuv'
  assert rows.targets[1][-1] == BYTES.eos_id
  # The frame of a source is never cut.
  assert rows.sources[0][[0, -1]].tolist() == [BYTES.bos_id, BYTES.eos_id]
  assert '1 sources longer than 9 and 1 targets longer than 5' in (
      rows.describe())


def test_pairs_that_are_written_share_batches():
  rows = build(*[('a', 'x')] * 5, asked=[0, 1, 0, 0, 1])
  assert [batch['asked'].tolist() for _, batch in rows.once()] == [
      [1, 1], [0, 0], [0, 0]]


def test_draws_depend_on_the_source_alone():
  keys = build(('a', 'x'), ('b', 'x'), ('a', 'y')).by_row['keys']
  assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize('lengths, targets', [
    ((6, 6), (4, 5)), ((6, 9), (5,)), ((), ()), ((9, 6), (4, 5))])
def test_lengths_that_are_no_pairs_are_refused(lengths, targets):
  with pytest.raises(errors.InputError, match='features'):
    pair_rows.PairFeatures(lengths=lengths, target_lengths=targets)


def test_a_source_without_tokens_is_refused():
  bare = symbols.Bytes(bos=False, eos=False).build()
  bare.eos_id = 0  # An id that ends a text, but is not put after a source.
  with pytest.raises(errors.InputError, match="pair 0: the source ''"):
    build(('', 'x'), layout=sides.Joined(separator=''), tokenizer=bare)
