"""Bags of n-grams: which vectors a token sums up."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.models import bag_of_ngrams
from lmjax.models import cost
from lmjax.nn import masks
from lmjax.testing import hot

CONFIG = bag_of_ngrams.BagOfNgramsConfig(11, width=4, ngrams=3, buckets=5000)
PARAMS = hot.hot_params(cost.shapes(CONFIG))


@functools.partial(jax.jit, static_argnames='config')
def sums(ids_BT, mask, config):
  """Returns the sums of the vectors of bigrams and trigrams, `x_BTD`."""
  x_BTD, _ = config.build().apply(
      {'params': PARAMS}, ids_BT, mask, method='hidden')
  return x_BTD - PARAMS['embed']['embedding'][ids_BT]


def longer(ids, segments=None, config=CONFIG):
  """Returns the sums of a row of at most six tokens."""
  row = np.pad(np.array([ids], np.int32), ((0, 0), (0, 6 - len(ids))))
  segments = np.arange(6)[None] < len(ids) if segments is None else segments
  mask = masks.make(jnp.zeros((1, 6), int), jnp.asarray(segments, int))
  return np.asarray(sums(row, mask, config))[0, :len(ids)]


def is_zero(x):
  return np.allclose(x, 0, atol=1e-6)


def test_a_token_has_the_ngrams_that_end_there():
  one, two, three, other = longer([3, 7, 9, 7])
  assert is_zero(one)  # No token is before it.
  bigram = longer([7, 9])[1]
  np.testing.assert_allclose(two, longer([3, 7])[1], atol=1e-6)
  trigram = three - bigram
  np.testing.assert_allclose(longer([7, 7, 9])[2] - bigram,
                             longer([1, 7, 7, 9])[3] - bigram, atol=1e-6)
  assert not is_zero(trigram) and not is_zero(bigram)
  assert not np.allclose(other, three)
  rows = np.asarray(PARAMS['ngrams']['embedding'])
  for vector in bigram, trigram:
    assert np.isclose(rows, vector, atol=1e-5).all(axis=1).sum() == 1


def test_order_counts_and_few_ngrams_share_a_vector():
  config = dataclasses.replace(CONFIG, ngrams=2)
  pairs = np.stack(np.meshgrid(range(11), range(11)), -1).reshape(-1, 2)
  found = np.asarray(sums(pairs, None, config))[:, 1]
  found = {tuple(vector) for vector in found.round(4)}
  assert len(found) > 115  # 121 pairs in 5,000 buckets: 1.5 collisions.


def test_ngrams_end_with_their_document():
  segments = np.array([[1, 1, 2, 2, 2, 0]])
  packed = longer([3, 7, 9, 7, 1, 0], segments)
  np.testing.assert_allclose(packed[:2], longer([3, 7]), atol=1e-6)
  np.testing.assert_allclose(packed[2:5], longer([9, 7, 1]), atol=1e-6)


def test_without_ngrams_it_is_a_bag_of_tokens():
  config = dataclasses.replace(CONFIG, ngrams=1)
  assert 'ngrams' not in cost.shapes(config)
  assert is_zero(longer([3, 7, 9], config=config))


@pytest.mark.parametrize('train', [False, True])
def test_dropout_is_on_in_training_only(train):
  config = dataclasses.replace(CONFIG, dropout=0.5)
  x_BTD, _ = jax.jit(lambda key: config.build().apply(
      {'params': PARAMS}, np.arange(10)[None], train=train, method='hidden',
      rngs={'dropout': key}))(jax.random.key(0))
  assert bool((x_BTD == 0).any()) == train
