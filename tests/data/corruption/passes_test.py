"""Passes over a text: each token is scored once, behind noise as in training.
"""
import collections

import numpy as np
import pytest

from lmjax.data.corruption import denoisers
from lmjax.data.corruption import noising
from lmjax.data.corruption import passes
from lmjax.data.corruption import pieces
from lmjax.data.corruption import prefixes
from lmjax.data.corruption import spans
from tests.reference import corruptions

BOS, EOS = 1, 2
TOKENIZER = corruptions.tokenizer(bos=BOS, eos=EOS)
LENGTHS = [2, 3, 4, 5, 7, 12, 31, 64, *range(40, 60)]
CASES = {
    'spans': spans.SpanCorruption(), 'dense': spans.SpanCorruption(0.5, 8.0),
    'most': spans.SpanCorruption(0.9, 1.0),
    'joined': spans.SpanCorruption(0.3, 2.0, documents=1, joined=True),
    'prefix': prefixes.PrefixLM(0.25), 'ul2': denoisers.UL2(),
    'ul2 joined': denoisers.UL2(joined=True), 'bart': noising.Bart(),
    'bart masks': noising.Bart(rate=0.0, mask_rate=0.2, permute=False),
}
SPECIAL = {*corruptions.SENTINELS, *corruptions.SPECIALS.values()}


def texts_of(lengths, bos=True, eos=True):
  """Returns texts of different ids, each in a row, and their draws."""
  made = []
  for number, length in enumerate(lengths):
    ids = 10 + 70 * number + np.arange(length)
    if bos:
      ids[0] = BOS
    if eos and length > 1:
      ids[-1] = EOS
    made.append(ids)
  index = np.arange(len(lengths))
  return (pieces.Texts(np.concatenate(made), np.array(lengths), index,
                       np.ones_like(index)),
          pieces.Draws(0, 0, index, max(lengths) + 1))


def of_each(texts, values=None):
  """Returns {row: ids} of texts."""
  values = texts.tokens if values is None else values
  return {int(row): values[start:start + length].tolist()
          for row, start, length in zip(
              texts.rows, texts.offsets, texts.lengths)}


@pytest.mark.parametrize('bos', [True, False])
@pytest.mark.parametrize('name', CASES)
def test_every_token_but_the_first_is_scored_once_and_then_hidden(name, bos):
  corruption = CASES[name]
  texts, draws = texts_of(LENGTHS, bos)
  scored = collections.Counter()
  for each in corruption.cover(TOKENIZER, 64)(texts, draws):
    sources, targets = of_each(each.source), of_each(each.target)
    for row, places in of_each(each.target, each.places).items():
      for place, token in zip(places, targets[row]):
        if place < 0:
          continue
        assert texts.tokens[place] == token and token not in SPECIAL
        assert texts.rows[np.searchsorted(
            texts.offsets, place, side='right') - 1] == row
        if token != EOS or 'bart' not in name:  # BART never hides EOS.
          assert token not in sources[row]
        scored[place] += 1
      assert not targets[row] or places[0] == -1  # The given id.
  first = set(texts.offsets.tolist())
  assert scored == collections.Counter(
      place for place in range(len(texts.tokens)) if place not in first)


@pytest.mark.parametrize('name', ['spans', 'dense', 'most', 'joined'])
def test_source_and_target_of_a_pass_give_back_the_text(name):
  texts, draws = texts_of(LENGTHS)
  whole = of_each(texts)
  config = CASES[name]
  for each in config.cover(TOKENIZER, 64)(texts, draws):
    targets = of_each(each.target)
    for row, source in of_each(each.source).items():
      assert corruptions.filled(source, targets[row]) == whole[row]


@pytest.mark.parametrize('rate, mean', [(0.15, 3.0), (0.5, 3.0), (0.15, 64.0)])
def test_passes_hide_as_much_as_training_in_spans_as_long(rate, mean):
  config = spans.SpanCorruption(rate, mean)
  texts, draws = texts_of([200])
  noise, count = (int(x[0]) for x in config.counts(texts))
  hidden, lengths = [], []
  for each in config.cover(TOKENIZER, 200)(texts, draws):
    tokens = np.isin(each.target.tokens, corruptions.SENTINELS, invert=True)
    hidden.append(int(tokens.sum()))
    lengths.append(len(tokens) - hidden[-1] - 1)
  assert max(hidden) <= noise and max(hidden) - min(hidden) <= 1
  assert len(hidden) == -(-199 // noise) and set(lengths) == {count}


def test_the_spans_of_a_pass_are_apart_and_differ_in_length():
  texts, draws = texts_of([64, 50, 33])
  room = texts.lengths - 1
  found = passes.divide(texts, draws, room, np.array([10, 8, 5]),
                        np.array([3, 3, 2]))
  for each in found:
    ends = each.begins + each.lengths
    same = each.owner[1:] == each.owner[:-1]
    assert (each.begins[1:] > ends[:-1])[same].all()
    assert (each.begins > texts.offsets[each.owner]).all()
  assert len({length for each in found for length in each.lengths}) > 3


@pytest.mark.parametrize('name', CASES)
def test_passes_of_a_text_do_not_depend_on_the_other_texts(name):
  def found(lengths, rows):
    texts, _ = texts_of(LENGTHS)
    texts = pieces.Texts(
        np.concatenate([of_each(texts)[row] for row in rows]),
        np.array(lengths), np.arange(len(rows)), np.ones(len(rows), int))
    draws = pieces.Draws(0, 0, rows, 65)
    out = collections.defaultdict(list)
    for each in CASES[name].cover(TOKENIZER, 64)(texts, draws):
      sources = of_each(each.source)
      for row, target in of_each(each.target).items():
        scored = of_each(each.target, each.places >= 0)[row]
        if any(scored):
          out[rows[row]].append((sources[row], target, scored))
    return out
  every = found(LENGTHS, list(range(len(LENGTHS))))
  some = [7, 1, 20]
  assert found([LENGTHS[row] for row in some], some) == {
      row: every[row] for row in some}


def test_bart_scores_the_end_of_a_text_without_other_tokens():
  texts, draws = texts_of([2, 2])
  each, = noising.Bart().cover(TOKENIZER, 2)(texts, draws)
  assert (each.places >= 0).sum() == 2
  assert noising.Bart(rate=0.0).likelihood is None
