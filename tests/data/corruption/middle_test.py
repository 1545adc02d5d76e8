"""Fill-in-the-middle: put back in order, every text is what it was."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.corruption import middle
from lmjax.data.corruption import pieces
from lmjax.data import packing
from tests.reference import corruptions

LENGTHS = np.random.default_rng(1).integers(2, 40, 80)
PRE, SUF, MID = (
    corruptions.SPECIALS[name] for name in ('[PRE]', '[SUF]', '[MID]'))


def ordered(stream, bos, eos):
  """Returns the text of a stream, and 'psm', 'spm' or None."""
  if PRE not in stream:
    return stream, None
  lead = [bos] if stream[0] == bos else []
  stream = stream[len(lead):]
  assert stream[0] == PRE
  assert [stream.count(i) for i in (PRE, SUF, MID)] == [1] * 3
  end = []
  if eos is not None:
    assert stream[-1] == eos
    stream, end = stream[:-1], [eos]
  suf, mid = stream.index(SUF), stream.index(MID)
  first, second, third = stream[1:suf], stream[suf + 1:mid], stream[mid + 1:]
  kind = 'psm'
  if suf == 1:
    kind = 'spm'  # Or a PSM whose prefix is empty, which reads the same.
  return lead + first + third + second + end, kind


@pytest.mark.parametrize('bos, eos', [(1, 2), (None, None), (None, 2)])
def test_every_text_can_be_put_back_in_order(bos, eos):
  plain = corruptions.rows(LENGTHS, 32, bos=bos, eos=eos)
  every = np.arange(plain.num_rows)
  config = middle.FillInTheMiddle(rate=0.8)
  rows = config.build(
      plain, corruptions.tokenizer(bos=bos, eos=eos), 32, seed=0)
  batch = rows.rows(0, every)
  assert batch['inputs'].shape == (plain.num_rows, 32 + 16)
  assert np.array_equal(batch['weights'] > 0, batch['segments'] > 0)
  streams = corruptions.streams(batch)
  raw = pieces.of_rows(plain.rows(0, every), last=True)
  kinds = []
  for row, segment, ids in zip(raw.rows, raw.segments, np.split(
      raw.tokens, raw.offsets[1:])):
    ids = ids.tolist()
    if len(ids) == 1 and (row, segment) not in streams:
      continue  # Nothing is predicted from a single token.
    text, kind = ordered(streams[row, segment], bos, eos)
    kinds.append(kind)
    if kind and eos is not None and ids[-1] != eos:
      assert text.pop() == eos  # Added, for the row cut the text's own off.
    assert text == ids
  shares = {kind: kinds.count(kind) / len(kinds) for kind in kinds}
  assert 0.1 < shares[None] < 0.4 and min(shares.values()) > 0.1


def test_shares_and_places_are_those_asked_for():
  length = 20
  rows = corruptions.rows([20_000], length, kind=packing.Concatenated)
  config = middle.FillInTheMiddle(0.5, 0.25)
  batch = config.build(rows, corruptions.tokenizer(), length, 0).rows(
      0, np.arange(rows.num_rows))
  changed = np.any(batch['inputs'] == PRE, axis=1)
  assert abs(changed.mean() - 0.5) < 5 * 0.5 / 1000 ** 0.5
  inputs = batch['inputs'][changed]
  # PSM is empty before [SUF] where the first of two cuts is 0.
  empty = 1 - (1 - 1 / (length + 2)) ** 2
  want = 0.25 + 0.75 * empty
  assert abs((inputs[:, 1] == SUF).mean() - want) < 5 * (
      want * (1 - want) / len(inputs)) ** 0.5
  prefix = np.argmax(inputs == SUF, axis=1)[inputs[:, 1] != SUF] - 1
  assert abs(prefix.mean() - (length + 2) / 3) < 1


def test_few_documents_are_reordered_where_rows_hold_many():
  plain = corruptions.rows([2] * 50, 32)
  config = middle.FillInTheMiddle(1.0, documents=2)
  batch = config.build(plain, corruptions.tokenizer(), 32, 0).rows(
      0, np.array([0]))
  assert (batch['inputs'] == PRE).sum() == 2
  assert config.raw_length(64, corruptions.tokenizer()) == 56


def test_impossible_settings_are_refused():
  with pytest.raises(errors.InputError, match='rate .* at most 1; got 1.5'):
    middle.FillInTheMiddle(1.5)
  with pytest.raises(errors.InputError, match='spm_rate .* got -1'):
    middle.FillInTheMiddle(spm_rate=-1)
