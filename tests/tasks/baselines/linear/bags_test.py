"""Bags of n-grams against counts by hand."""
import collections
import math

import numpy as np
import pytest

from lmjax.tasks.baselines.linear import bags

TEXTS = ['Good, good film', 'good  film', 'bad\0film', '我愛film', '']


def test_words_are_lower_case_and_punctuation_apart():
  assert bags.words("It's _fine_, 3 times") == [
      'it', "'", 's', '_fine_', ',', '3', 'times']
  assert bags.words('我愛Python。Grüße') == [
      '我', '愛', 'python', '。', 'grüße']


def weights(grams, counted):
  """Returns the weights of a text's n-grams, from those of all texts."""
  found = {}
  for gram, times in collections.Counter(grams).items():
    if texts := sum(gram in each for each in counted):
      found[gram] = (1 + math.log(times)) * (
          1 + math.log((1 + len(counted)) / (1 + texts)))
  length = math.sqrt(sum(weight**2 for weight in found.values()))
  return sorted(weight / length for weight in found.values())


def grams(symbols, orders):
  return [tuple(symbols[i:i + n]) for n in orders
          for i in range(len(symbols) - n + 1)]


def spaced(text):
  return ' ' + ' '.join(text.lower().replace('\0', ' ').split()) + ' '


@pytest.mark.parametrize('text', ['good film, good unseen', *TEXTS])
def test_weights_equal_those_counted_one_by_one(text):
  made = bags.Bags.fit(TEXTS)
  row = np.asarray(made([text, 'good']).todense())[0]
  size = len(made.blocks[0].keys)
  for found, symbols, orders in (
      (row[:size], bags.words, (1, 2)), (row[size:], spaced, (2, 3, 4))):
    expected = weights(grams(symbols(text), orders),
                       [grams(symbols(each), orders) for each in TEXTS])
    np.testing.assert_allclose(sorted(found[found > 0]), expected, rtol=1e-6)


def test_the_most_frequent_ngrams_are_kept():
  texts = ['a b', 'a b', 'a c', 'c d']
  made = bags.Bags.fit(texts, words_to=1, most=1)
  assert made.size == 2  # One of words, one of characters.
  words = made(['a', 'b', 'c'])[:, 0].toarray()[:, 0]
  assert words.tolist() == [1, 0, 0]


@pytest.mark.parametrize('texts', [['good'], []])
def test_texts_without_a_known_ngram_are_vectors_of_zeros(texts):
  found = bags.Bags.fit(texts)(['xyz', 'u'])
  assert found.shape[0] == 2 and not found.toarray().any()
