"""Prefix and continuation: together the text, divided anywhere."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.corruption import prefixes
from lmjax.data import packing
from tests.reference import corruptions

LENGTHS = np.random.default_rng(1).integers(1, 40, 80)
MARK = corruptions.SENTINELS[0]


@pytest.mark.parametrize('rate, tokenizer, end, start', [
    (None, corruptions.tokenizer(), MARK, MARK),
    (0.25, corruptions.tokenizer(), MARK, MARK),
    (None, corruptions.tokenizer(start=3, eos=4), 4, 3)])
def test_the_parts_make_the_text(rate, tokenizer, end, start):
  plain = corruptions.rows(LENGTHS, 32)
  every = np.arange(plain.num_rows)
  batch = prefixes.PrefixLM(rate).build(
      plain, tokenizer, 32, 0).rows(0, every)
  sources, targets = corruptions.sources_and_targets(batch)
  for key, text in corruptions.texts(plain.rows(0, every)).items():
    if len(text) == 1:
      assert sources[key] == text and key not in targets
      continue
    assert (sources[key][-1], targets[key][0]) == (end, start)
    assert sources[key][:-1] + targets[key][1:] == text
    assert len(sources[key]) > 1 and len(targets[key]) > 1
    if rate is not None:
      assert len(targets[key]) - 1 == max(int(rate * len(text) + 0.5), 1)


def test_a_joined_row_is_the_plain_row_with_fewer_weights():
  plain = corruptions.rows(LENGTHS, 32)
  every = np.arange(plain.num_rows)
  want = plain.rows(0, every)
  batch = prefixes.PrefixLM(joined=True).build(
      plain, corruptions.tokenizer(), 32, 0).rows(0, every)
  # A text of one token without a target leaves nothing: compare the others.
  for row in range(plain.num_rows):
    here = want['segments'][row] > 0
    lonely = [s for s in set(want['segments'][row][here].tolist())
              if not want['weights'][row, want['segments'][row] == s].any()]
    keep = here & ~np.isin(want['segments'][row], lonely)
    got = batch['segments'][row] > 0
    ids, targets = (batch[k][row, got].tolist() for k in ('inputs', 'targets'))
    weights = want['weights'][row, keep]
    inner = weights > 0  # The target of a last token is another document's.
    assert [ids[i] for i in range(len(ids))] == [
        i for i, w in zip(want['inputs'][row, keep].tolist(), inner) if w]
    assert targets == want['targets'][row, keep][inner].tolist()
    prefix, counts = (batch[k][row, got] for k in ('prefix', 'weights'))
    assert np.array_equal(prefix, counts == 0)


def test_places_are_uniform():
  rows = corruptions.rows([4000], 11, kind=packing.Concatenated)
  config = prefixes.PrefixLM()
  built = config.build(rows, corruptions.tokenizer(), 11, 0)
  counts = np.zeros(12)
  for epoch in range(6):
    batch = built.rows(epoch, np.arange(363))
    sizes = (batch['encoder_segments'] > 0).sum(1) - 1
    counts += np.bincount(sizes, minlength=12)
  assert counts[0] == counts[11] == 0
  expected = counts.sum() / 10
  assert np.abs(counts[1:11] - expected).max() < 5 * expected ** 0.5


def test_an_impossible_rate_is_refused():
  with pytest.raises(errors.InputError, match='below 1, or none; got 1.0'):
    prefixes.PrefixLM(1.0)
  with pytest.raises(errors.InputError, match='data.sentinels=1'):
    prefixes.PrefixLM().build(
        corruptions.rows([99], 9), corruptions.tokenizer(sentinels=()), 9, 0)
