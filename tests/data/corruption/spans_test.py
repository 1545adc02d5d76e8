"""Span corruption: nothing is lost, and the noise is what was asked for."""
import dataclasses
import itertools

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.corruption import denoisers
from lmjax.data.corruption import pieces
from lmjax.data.corruption import spans
from lmjax.data import packing
from tests.reference import corruptions

LENGTHS = np.random.default_rng(1).integers(1, 60, 80)
TOKENIZER = corruptions.tokenizer()
CASES = [
    spans.SpanCorruption(), spans.SpanCorruption(joined=True),
    spans.SpanCorruption(0.5, 8.0), spans.SpanCorruption(0.9, 1.0),
    spans.SpanCorruption(0.3, 2.0, documents=1, joined=True)]


@pytest.mark.parametrize('config', CASES)
@pytest.mark.parametrize('length', [7, 64])
def test_filling_in_the_spans_gives_back_every_row(config, length):
  plain = corruptions.rows(LENGTHS, length)
  rows = config.build(plain, TOKENIZER, length, seed=3)
  every = np.arange(plain.num_rows)
  batch = rows.rows(1, every)
  sources, targets = corruptions.sources_and_targets(batch)
  texts = corruptions.texts(plain.rows(1, every))
  if config.joined:  # Of a text of one token nothing is predicted.
    texts = {key: text for key, text in texts.items() if len(text) > 1}
  assert sources.keys() == texts.keys()
  for key, text in texts.items():
    assert corruptions.filled(sources[key], targets.get(key, [])) == text
  sizes = config.sizes(length)
  want = sizes.joined if config.joined else sizes.target
  assert batch['inputs'].shape == (plain.num_rows, want)


@pytest.mark.parametrize('config', [
    CASES[0], denoisers.UL2(('R', 'S'), (0.5, 0.25), (3.0, 0.0), (1.0, 1.0))])
def test_a_published_decoder_starts_from_its_id_and_ends_with_eos(config):
  tokenizer = corruptions.tokenizer(start=3, eos=4)
  plain, every = corruptions.rows(LENGTHS, 64), np.arange(20)
  sources, targets = corruptions.sources_and_targets(config.build(
      plain, tokenizer, 64, seed=3).rows(0, every))
  for key, target in targets.items():
    assert target[0] == 3 and sources[key][-1] == 4
    if target[1] == corruptions.SENTINELS[0]:  # Not a continuation.
      assert target[-1] == 4
  text = np.arange(10, 40)
  texts = pieces.Texts(text, np.array([30]), np.array([0]), np.array([1]))
  for each in config.cover(tokenizer, 64)(texts, pieces.Draws(0, 0, [0], 65)):
    assert each.target.tokens[0] == 3
    scored = each.places >= 0
    assert np.array_equal(each.target.tokens[scored], text[each.places[scored]])


@pytest.mark.parametrize('rate, mean', [(0.15, 3.0), (0.5, 3.0), (0.15, 64.0)])
def test_noise_and_spans_are_counted_exactly(rate, mean):
  length = 200
  config = spans.SpanCorruption(rate, mean)
  rows = config.build(
      corruptions.rows([5000], length, kind=packing.Concatenated), TOKENIZER,
      length, seed=0)
  batch = rows.rows(0, np.arange(24))
  for source, target in zip(*(
      part.values() for part in corruptions.sources_and_targets(batch))):
    hidden = [i for i in target if i not in corruptions.SENTINELS]
    assert len(hidden) == round(rate * length)
    assert len(target) - len(hidden) - 1 == max(
        round(round(rate * length) / mean), 1)
    assert source[0] not in corruptions.SENTINELS  # As in the paper's code.
    assert source[-1] in corruptions.SENTINELS


def test_packed_rows_have_the_share_as_a_whole():
  config = spans.SpanCorruption(0.15, 3.0, documents=100)
  plain = corruptions.rows(LENGTHS, 64)
  batch = config.build(plain, TOKENIZER, 64, 0).rows(0, np.arange(30))
  _, targets = corruptions.sources_and_targets(batch)
  for row in range(30):
    noise = sum(i not in corruptions.SENTINELS for (r, _), target in
                targets.items() if r == row for i in target)
    assert abs(noise - 0.15 * 64) <= 2


def test_every_division_is_equally_likely():
  count = 6000
  texts = pieces.Texts(np.zeros(5 * count), np.full(count, 5),
                       np.arange(count), np.ones(count, int))
  draws = pieces.Draws(0, 0, range(count), 5)
  lengths = pieces.composition(
      texts, draws, np.full(count, 5), np.full(count, 3)).reshape(-1, 3)
  ways = [way for way in itertools.product(range(1, 4), repeat=3)
          if sum(way) == 5]
  seen = [np.all(lengths == way, axis=1).sum() for way in ways]
  assert sum(seen) == count and len(ways) == 6
  assert np.abs(np.array(seen) - count / 6).max() < 5 * (count / 6) ** 0.5


def test_too_few_sentinels_are_refused_with_the_number_needed():
  rows = corruptions.rows([900], 200)
  few = corruptions.tokenizer(sentinels=(1, 2, 3))
  with pytest.raises(errors.InputError, match='data.sentinels=11') as found:
    spans.SpanCorruption().build(rows, few, 200, 0)
  assert 'has 3' in str(found.value)
  enough = corruptions.tokenizer(sentinels=tuple(range(11)))
  spans.SpanCorruption().build(rows, enough, 200, 0).rows(0, np.arange(4))


@pytest.mark.parametrize('changes, message', [
    (dict(rate=0.0), 'rate should be above 0 and below 1; got 0.0'),
    (dict(mean_length=0.5), 'mean_length should be at least 1; got 0.5'),
    (dict(documents=0), 'documents should be at least 1; got 0'),
])
def test_impossible_settings_are_refused(changes, message):
  with pytest.raises(errors.InputError, match=message):
    dataclasses.replace(spans.SpanCorruption(), **changes)
