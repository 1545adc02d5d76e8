"""Smoothings against dicts written from the papers, and hand counts."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models.counted import ngram
from lmjax.models.counted import ngram_counts
from lmjax.models.counted import ngram_smoothing
from tests.reference import ngram as reference

_VOCAB, _BOS = 9, 0


def _documents():
  rng = np.random.default_rng(0)
  p = np.array([6, 4, 3, 2, 1]) / 16
  return [(_BOS, *rng.choice([1, 2, 3, 4, 5], rng.integers(1, 12), p=p), 7)
          for _ in range(30)] + [(_BOS, 1, 2, 1, 7)] * 3


_DOCUMENTS = _documents()
_CONTEXTS = [(), (_BOS,), (2,), (8,), (_BOS, 1), (1, 2), (5, 5), (8, 1),
             (_BOS, 1, 2), (3, 1, 2), (8, 8, 8)]


def _reference(smoothing, order):
  choices = _VOCAB - 1
  raw = reference.raw_counts(_DOCUMENTS, order)
  adjusted = reference.kneser_ney_counts(_DOCUMENTS, order, _BOS)
  match smoothing:
    case ngram_smoothing.AddK():
      return reference.add_k(_DOCUMENTS, order, choices, smoothing.k)
    case ngram_smoothing.WittenBell():
      return reference.witten_bell(_DOCUMENTS, order, choices)
    case ngram_smoothing.AbsoluteDiscounting():
      return reference.discounted(raw, order, choices, reference.one_discount)
    case ngram_smoothing.KneserNey():
      return reference.discounted(
          adjusted, order, choices, reference.one_discount)
    case ngram_smoothing.ModifiedKneserNey():
      return reference.discounted(
          adjusted, order, choices, reference.discounts)
    case ngram_smoothing.StupidBackoff():
      return reference.stupid(_DOCUMENTS, order, choices, smoothing.alpha)


@pytest.mark.parametrize('order', [1, 2, 4])
@pytest.mark.parametrize('smoothing', [
    ngram_smoothing.AddK(0.3), ngram_smoothing.WittenBell(),
    ngram_smoothing.AbsoluteDiscounting(), ngram_smoothing.KneserNey(),
    ngram_smoothing.ModifiedKneserNey(), ngram_smoothing.StupidBackoff(),
], ids=lambda s: type(s).__name__)
def test_probabilities_are_the_papers(smoothing, order):
  model = ngram.NgramConfig(order, smoothing).fit(_DOCUMENTS, _VOCAB, _BOS)
  expected = _reference(smoothing, order)
  for context in _CONTEXTS:
    found = model.distribution(context)
    seen = context[len(context) - min(len(context), order - 1):]
    np.testing.assert_allclose(
        found[1:], [expected(seen, token) for token in range(1, _VOCAB)],
        rtol=1e-12, err_msg=f'{context}')
    assert found[_BOS] == 0
    if smoothing.normalised:
      assert found.sum() == pytest.approx(1, abs=1e-12)
      assert (found[1:] > 0).all()


def test_modified_kneser_ney_by_hand():
  # <s> a b </s> twice and <s> a c </s> once: bigrams <s>a 3, ab 2, ac 1,
  # b</s> 2, c</s> 1. n1 = 2, n2 = 2, n3 = 1, n4 = 0, so Y = 2 / 6 and
  # D1 = 1 - 2 Y, D2 = 2 - 3 Y / 2, D3 = 3.
  counts = ngram_counts.count(
      [(0, 1, 2, 4), (0, 1, 2, 4), (0, 1, 3, 4)], 2, 5, 0)
  smoothing = ngram_smoothing.ModifiedKneserNey()
  np.testing.assert_allclose(
      smoothing.discounts(counts.adjusted[1]), [1 / 3, 3 / 2, 3])
  # Kinds of tokens before: a 1, b 1, c 1, </s> 2; no n3, so 0.5, 1, 1.5.
  assert counts.adjusted[0].tolist() == [0, 1, 1, 1, 2, 0]
  model = ngram.NgramConfig(2, smoothing).build(counts)
  left = (3 * 0.5 + 1) / 5
  unigram = np.array([0, .5 / 5, .5 / 5, .5 / 5, 1 / 5]) + left / 4
  unigram[0] = 0
  np.testing.assert_allclose(model.distribution([]), unigram)
  after_a = np.array([0, 0, .5, 2 / 3, 0]) / 3 + (3 / 2 + 1 / 3) / 3 * unigram
  np.testing.assert_allclose(model.distribution([1]), after_a)


def test_degenerate_discounts_fall_back():
  smoothing = ngram_smoothing.ModifiedKneserNey(fallback=(0.4, 0.8, 1.2))
  assert smoothing.discounts(np.array([1, 2])).tolist() == [0.4, 0.8, 1.2]
  odd = np.repeat([1, 2, 3], [10, 1, 10])  # D_2 is below 0.
  assert smoothing.discounts(odd).tolist() == [0.4, 0.8, 1.2]


def test_one_shared_count_makes_all_orders():
  counts = ngram_counts.count(_DOCUMENTS, 4, _VOCAB, _BOS)
  for order in (1, 3):
    shared = ngram.NgramConfig(order).build(counts)
    alone = ngram.NgramConfig(order).fit(_DOCUMENTS, _VOCAB, _BOS)
    assert shared.digest == alone.digest
  with pytest.raises(errors.InputError, match='up to order 4; count up to'):
    ngram.NgramConfig(5).build(counts)


@pytest.mark.parametrize('build, told', [
    (lambda: ngram_smoothing.AddK(0.0), 'AddK.k should be above 0'),
    (lambda: ngram_smoothing.KneserNey(1.0), 'above 0 and below 1, or none'),
    (lambda: ngram_smoothing.AbsoluteDiscounting(-1.0), 'above 0 and below 1'),
    (lambda: ngram_smoothing.ModifiedKneserNey((1.0, 2.0)), 'three discounts'),
    (lambda: ngram_smoothing.ModifiedKneserNey((2.0, 2.0, 2.0)), 'at most 1'),
    (lambda: ngram_smoothing.StupidBackoff(0.0), 'above 0 and at most 1'),
])
def test_impossible_smoothing_is_refused(build, told):
  with pytest.raises(errors.InputError, match=told):
    build()
