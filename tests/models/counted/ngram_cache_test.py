"""The cache against a loop over the tokens before each target."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models.counted import ngram
from lmjax.models.counted import ngram_cache

_BOS = 0


def _batch():
  rng = np.random.default_rng(0)
  tokens = rng.integers(1, 4, (2, 13))
  tokens[0, 0] = tokens[1, 5] = _BOS
  segments = np.array([[1] * 12, [1] * 5 + [2] * 4 + [0] * 3])
  positions = np.array([range(12), [*range(5), *range(4), 0, 0, 0]])
  return {'inputs': tokens[:, :-1], 'targets': tokens[:, 1:],
          'positions': positions, 'segments': segments}


def _loop(batch, row, column, size):
  """Returns the target's share of the tokens before it, None if there are none.
  """
  before = [batch['inputs'][row, s]
            for s in range(max(0, column - size + 1), column + 1)
            if batch['segments'][row, s] == batch['segments'][row, column]
            and batch['inputs'][row, s] != _BOS]
  return before.count(batch['targets'][row, column]) / len(before) if (
      before) else None


@pytest.mark.parametrize('size', [1, 3, 100])
def test_cache_is_the_share_of_recent_tokens(size):
  batch = _batch()
  p_BT = np.random.default_rng(1).uniform(0.1, 1, (2, 12))
  score = lambda batch: (-np.log(p_BT), 'as the model')
  cached = ngram_cache.Cached(
      score, ngram_cache.CacheConfig(0.25, size), _BOS)
  nll_BT, correct = cached(batch)
  assert correct == 'as the model' and nll_BT.dtype == np.float32
  for row, column in zip(*np.nonzero(batch['segments'])):
    share = _loop(batch, row, column, size)
    p = p_BT[row, column]
    expected = p if share is None else 0.75 * p + 0.25 * share
    assert np.exp(-nll_BT[row, column]) == pytest.approx(expected, rel=1e-5)
  assert (nll_BT[batch['segments'] == 0] == 0).all()


def test_an_ngram_with_a_cache_is_the_interpolation():
  batch, cache = _batch(), ngram_cache.CacheConfig()
  documents = [(_BOS, 1, 2, 3, 1, 1)] * 3
  plain = ngram.NgramConfig(3).fit(documents, 5, _BOS)
  cached = ngram.NgramConfig(3, cache=cache).fit(documents, 5, _BOS)
  expected = ngram_cache.Cached(plain, cache, _BOS)(batch)
  for found, wanted in zip(cached(batch), expected):
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
  assert not np.allclose(plain(batch)[0], expected[0])


@pytest.mark.parametrize('kwargs, told', [
    ({'weight': 0.0}, 'above 0 and below 1'), ({'weight': 1.0}, 'below 1'),
    ({'size': 0}, 'at least 1')])
def test_impossible_cache_is_refused(kwargs, told):
  with pytest.raises(errors.InputError, match=told):
    ngram_cache.CacheConfig(**kwargs)
