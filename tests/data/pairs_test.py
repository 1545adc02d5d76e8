"""Pairs of texts: what stands where, how often, and from where."""
import types

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import pairs

BOS, EOS, CLS, SEP = 0, 1, 2, 3
TOKENIZER = types.SimpleNamespace(
    bos_id=BOS, eos_id=EOS, special={'[CLS]': CLS, '[SEP]': SEP}.__getitem__)
LENGTH = 12


def store_of(lengths):
  """Documents of consecutive numbers, so that a token tells its place."""
  texts, place = [], 10
  for n in lengths:
    texts.append(np.concatenate([[BOS], np.arange(place, place + n), [EOS]]))
    place += n
  offsets = np.cumsum([0] + [len(text) for text in texts])
  return types.SimpleNamespace(
      tokens=np.concatenate(texts).astype(np.uint16), offsets=offsets)


LENGTHS = (9, 30, 0, 1, 17, 4)
STORE = store_of(LENGTHS)
DOCUMENT = np.repeat(np.arange(len(LENGTHS)), LENGTHS)  # Of token - 10.


def parts(batch, row):
  """Returns A and B of a row, after checking all that surrounds them."""
  count = int(batch['weights'][row].sum())
  tokens = batch['inputs'][row, :count]
  assert tokens[0] == CLS and tokens[-1] == SEP
  middle, = np.flatnonzero(tokens[:-1] == SEP)
  for name, want in (
      ('types', np.arange(count) > middle), ('segments', np.ones(count)),
      ('positions', np.arange(count)), ('targets', tokens)):
    np.testing.assert_array_equal(batch[name][row, :count], want)
    assert not batch[name][row, count:].any()
  assert not batch['weights'][row, count:].any()
  return tokens[1:middle], tokens[middle + 1:-1]


@pytest.mark.parametrize('kind', [pairs.NextSentence, pairs.SentenceOrder])
def test_rows_match_their_labels(kind):
  rows = kind().build(STORE, LENGTH, 0, TOKENIZER)
  labels = []
  for epoch in range(30):
    batch = rows.rows(epoch, np.arange(rows.num_rows))
    labels += batch['labels'].tolist()
    for row, label in enumerate(batch['labels']):
      first, second = parts(batch, row)
      assert len(first) and len(second)
      for text in first, second:
        np.testing.assert_array_equal(np.diff(text), 1)
        assert text.min() >= 10
        assert len(set(DOCUMENT[text - 10])) == 1
      same = DOCUMENT[first[0] - 10] == DOCUMENT[second[0] - 10]
      if label == 0:
        assert same and second[0] == first[-1] + 1
      elif kind is pairs.NextSentence:
        assert not same
      else:
        assert same and first[0] == second[-1] + 1
  assert rows.num_rows == 1 + 4 + 2 + 1
  assert abs(np.mean(labels) - 0.5) < 0.13  # Four deviations of 240.


def test_every_token_is_seen_once_per_epoch():
  rows = pairs.SentenceOrder().build(STORE, LENGTH, 0, TOKENIZER)
  batch = rows.rows(3, np.arange(rows.num_rows))
  seen = np.concatenate(
      [np.concatenate(parts(batch, row)) for row in range(rows.num_rows)])
  want = np.arange(10, 10 + sum(LENGTHS))
  # The document of one token is no pair.
  np.testing.assert_array_equal(np.sort(seen), np.delete(want, 39))


def test_a_row_is_a_function_of_seed_epoch_and_index():
  build = lambda seed: pairs.NextSentence().build(
      STORE, LENGTH, seed, TOKENIZER)
  whole = build(0).rows(2, np.arange(8))
  part = build(0).rows(2, np.array([5, 1]))
  for name in whole:
    np.testing.assert_array_equal(part[name], whole[name][[5, 1]])
  for other in build(1).rows(2, np.arange(8)), build(0).rows(3, np.arange(8)):
    assert np.any(other['inputs'] != whole['inputs'])


def test_rows_are_in_order_without_shuffling():
  rows = pairs.SentenceOrder(shuffle=False).build(STORE, LENGTH, 0, TOKENIZER)
  batch = rows.rows(0, np.arange(8))
  least = [min(map(np.min, parts(batch, row))) for row in range(8)]
  assert least == sorted(least)


def test_cuts_and_other_texts_come_from_everywhere():
  store = store_of((9, 9, 40))
  rows = pairs.NextSentence().build(store, LENGTH, 0, TOKENIZER)
  cuts, others = set(), set()
  for epoch in range(150):
    batch = rows.rows(epoch, np.arange(rows.num_rows))
    for row in range(rows.num_rows):
      first, second = parts(batch, row)
      if not batch['labels'][row]:
        cuts.add(len(first))
      else:
        others.add(int(second[0]))
  assert cuts == set(range(1, 9))
  assert len(others) > 50  # Of 58 tokens.


def test_length_does_not_reveal_the_label():
  rows = pairs.NextSentence().build(store_of((9, 18)), LENGTH, 0, TOKENIZER)
  for epoch in range(20):
    batch = rows.rows(epoch, np.arange(rows.num_rows))
    np.testing.assert_array_equal(batch['weights'], 1)


@pytest.mark.parametrize('kind, store, length, message', [
    (pairs.NextSentence, store_of((9, 1)), 12, 'kind=SentenceOrder'),
    (pairs.SentenceOrder, store_of((1, 1)), 12, 'No document has the two'),
    (pairs.SentenceOrder, STORE, 4, 'length >= 5; got 4')])
def test_stores_without_pairs_are_refused(kind, store, length, message):
  with pytest.raises(errors.InputError, match=message):
    kind().build(store, length, 0, TOKENIZER)
