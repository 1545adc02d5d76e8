"""Katz's back-off against a dict, and its discounts by hand."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models.counted import ngram
from lmjax.models.counted import ngram_counts
from lmjax.models.counted import ngram_katz
from tests.reference import ngram as reference

_VOCAB, _BOS = 9, 0


def _documents(unseen=True):
  rng = np.random.default_rng(3)
  tokens = [1, 2, 3, 4, 5] if unseen else [1, 2, 3, 4, 5, 6, 8]
  return [(_BOS, *rng.choice(tokens, rng.integers(1, 12)), 7)
          for _ in range(40)]


@pytest.mark.parametrize('unseen', [True, False])
@pytest.mark.parametrize('order, k', [(1, 5), (2, 5), (4, 3)])
def test_probabilities_are_the_papers_and_sum_to_one(order, k, unseen):
  documents, katz = _documents(unseen), ngram_katz.Katz(k)
  counts = ngram_counts.count(documents, order, _VOCAB, _BOS)
  model = ngram.NgramConfig(order, katz).build(counts)
  expected = reference.katz(
      documents, order, _VOCAB - 1,
      lambda n: katz.discounts(counts.levels[n - 1].counts))
  for context in [(), (_BOS,), (2,), (8,), (1, 2), (_BOS, 1, 2), (3, 1, 2)]:
    found = model.distribution(context)
    seen = context[len(context) - min(len(context), order - 1):]
    np.testing.assert_allclose(
        found[1:], [expected(seen, t) for t in range(1, _VOCAB)], rtol=1e-9)
    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert (found[1:] > 0).all() and found[_BOS] == 0


def test_good_turing_discounts_by_hand():
  # n = 8, 3, 1: with k = 2, A = 3 n3 / n1 = 3 / 8; 1* = 2 * 3 / 8 = 3 / 4 and
  # 2* = 3 * 1 / 3 = 1.
  values = np.repeat([1, 2, 3], [8, 3, 1])
  np.testing.assert_allclose(
      ngram_katz.Katz(2).discounts(values),
      [(3 / 4 - 3 / 8) / (5 / 8), (1 / 2 - 3 / 8) / (5 / 8)])


def test_degenerate_discounts():
  # No n-gram was seen three times, so k = 3 fails; k = 2 discounts by r* / r.
  found = ngram_katz.Katz(3).discounts(np.repeat([1, 2], [8, 2]))
  assert found.tolist() == [0.5, 1.0, 1.0]  # 2* = 0: only k = 1 is left.
  found = ngram_katz.Katz(3).discounts(np.array([5, 7]))
  assert found.tolist() == [0.5, 1.0, 1.0]


def test_impossible_k_is_refused():
  with pytest.raises(errors.InputError, match='Katz.k should be at least 1'):
    ngram_katz.Katz(0)
