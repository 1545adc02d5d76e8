"""Keys against numpy's own grouping and searching."""
import numpy as np
import pytest

from lmjax.models.counted import ngram_keys

_SCALES = [7, 1 << 40, 1 << 58]  # The last is too large to be packed.


def _keys(scale, size=500):
  rng = np.random.default_rng(0)
  return rng.integers(0, 60, size) * (scale // 7)


@pytest.mark.parametrize('scale', _SCALES)
def test_ordered_sorts_and_says_from_where(scale):
  keys = _keys(scale)
  rising, places = ngram_keys.ordered(keys)
  assert (np.diff(rising) >= 0).all() and (keys[places] == rising).all()
  assert sorted(places) == list(range(len(keys)))


@pytest.mark.parametrize('scale', _SCALES)
def test_group_is_unique(scale):
  keys = _keys(scale)
  unique, counts, index = ngram_keys.group(keys)
  expected, inverse, expected_counts = np.unique(
      keys, return_inverse=True, return_counts=True)
  assert (unique == expected).all() and (counts == expected_counts).all()
  assert (index == inverse).all()


def test_find_in_blocks(monkeypatch):
  monkeypatch.setattr(ngram_keys, '_BLOCK', 7)
  keys, queries = np.array([2, 3, 5, 8]), np.tile(np.arange(10), 3)
  places = {2: 0, 3: 1, 5: 2, 8: 3}
  assert ngram_keys.find(keys, queries).tolist() == [
      places[q] if q in places else -1 for q in queries.tolist()]


def test_nothing_is_found_in_nothing():
  none = np.zeros(0, np.int64)
  assert ngram_keys.find(none, np.array([1])).tolist() == [-1]
  assert not len(ngram_keys.find(np.array([1]), none))
  assert not len(ngram_keys.group(none)[0])
