"""Baselines against sums, hand counts and brute force."""
import math

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation import baselines

_VOCAB = 7


def _documents():
  rng = np.random.default_rng(1)
  return [np.concatenate([[1], rng.choice(5, 20, p=[0, 0, .5, .3, .2]), [6]])
          for _ in range(5)]


def _all_pairs():
  return np.meshgrid(np.arange(_VOCAB), np.arange(_VOCAB), indexing='ij')


def test_unigram_by_hand():
  unigram = baselines.Unigram.fit([[1, 2, 2, 3], [1, 2]], vocab_size=5)
  assert unigram.counts.tolist() == [0, 0, 3, 1, 0]  # BOS is never a target.
  # 4 tokens of 2 kinds, so each token gets 2 / 5 of a count more.
  np.testing.assert_allclose(
      unigram.probabilities, np.array([.4, .4, 3.4, 1.4, .4]) / 6)
  nll_BT, correct_BT = unigram({'targets': np.array([[2, 4]])})
  np.testing.assert_allclose(nll_BT[0], [math.log(6 / 3.4), math.log(15)], 1e-6)
  assert correct_BT.tolist() == [[True, False]]


def test_unigram_without_bos_counts_first_tokens():
  unigram = baselines.Unigram.fit([[1, 2], [1]], vocab_size=3, bos=False)
  assert unigram.counts.tolist() == [0, 2, 1]


def test_bigram_by_hand():
  # Pairs: 0-1 twice, 1-0 and 1-2 once: D = 2 / (2 + 2). Kinds before: 1, 1, 1.
  bigram = baselines.Bigram.fit([[0, 1, 0, 1, 2]], vocab_size=4)
  lower = np.array([.5 / 3 + .5 / 4] * 3 + [.5 / 4])
  expected = np.array([
      [0, 1.5 / 2, 0, 0] + .25 * lower, [.25, 0, .25, 0] + .5 * lower,
      lower, lower])
  found = bigram.probability(
      *np.meshgrid(np.arange(4), np.arange(4), indexing='ij'))
  np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize('dense', [True, False])
def test_bigram_sums_to_one_and_knows_its_best(monkeypatch, dense):
  if not dense:
    monkeypatch.setattr(baselines, '_DENSE', 0)
    monkeypatch.setattr(baselines, '_CHUNK_TOKENS', 30)  # Merges stretches.
  bigram = baselines.Bigram.fit(_documents(), _VOCAB)
  p = bigram.probability(*_all_pairs())
  np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
  assert (p > 0).all()
  np.testing.assert_allclose(p.max(axis=1), p[np.arange(_VOCAB), bigram.best])
  assert bigram.keys.tolist() == sorted({
      int(v) * _VOCAB + int(w) for d in _documents() for v, w in zip(d, d[1:])})


@pytest.mark.parametrize('size', [1, 2, 5, 30])
@pytest.mark.parametrize('dense', [True, False])
def test_counts_do_not_depend_on_chunks(monkeypatch, size, dense):
  documents = [*_documents(), [], [1], np.arange(90) % 7]
  if not dense:
    monkeypatch.setattr(baselines, '_DENSE', 0)
  fits = (lambda: baselines.Unigram.fit(documents, _VOCAB).counts,
          lambda: baselines.Unigram.fit(documents, _VOCAB, bos=False).counts,
          lambda: baselines.Bigram.fit(documents, _VOCAB).keys,
          lambda: baselines.Bigram.fit(documents, _VOCAB).seen)
  want = [fit() for fit in fits]
  monkeypatch.setattr(baselines, '_CHUNK_TOKENS', size)
  for fit, whole in zip(fits, want):
    np.testing.assert_array_equal(fit(), whole)


def test_pairs_do_not_cross_documents():
  bigram = baselines.Bigram.fit([[1, 2], [3, 4]], _VOCAB)
  assert bigram.keys.tolist() == [1 * _VOCAB + 2, 3 * _VOCAB + 4]


def test_bigram_scores_pairs():
  bigram = baselines.Bigram.fit(_documents(), _VOCAB)
  before, token = _all_pairs()
  nll_BT, correct_BT = bigram({'inputs': before, 'targets': token})
  np.testing.assert_allclose(np.exp(-nll_BT), bigram.probability(before, token),
                             rtol=1e-6)
  assert (correct_BT.sum(axis=1) == 1).all()


def test_stronger_baselines_are_stronger():
  rng = np.random.default_rng(0)
  rows = rng.dirichlet(np.full(_VOCAB, 0.3), _VOCAB)  # A Markov chain.
  tokens = [0]
  for _ in range(4000):
    tokens.append(int(rng.choice(_VOCAB, p=rows[tokens[-1]])))
  train, test = [tokens[:3000]], np.array(tokens[3000:])
  batch = {'inputs': test[None, :-1], 'targets': test[None, 1:]}
  uniform, unigram, bigram = (
      score(batch)[0].mean() for score in (
          baselines.Uniform(_VOCAB), baselines.Unigram.fit(train, _VOCAB),
          baselines.Bigram.fit(train, _VOCAB)))
  truth = -np.log(rows)[test[:-1], test[1:]].mean()
  assert uniform > unigram > bigram
  assert bigram == pytest.approx(truth, abs=0.03)


def test_bad_documents_are_refused():
  with pytest.raises(errors.InputError, match='two tokens'):
    baselines.Bigram.fit([[1], []], _VOCAB)
  with pytest.raises(errors.InputError, match='id 9, but the vocabulary has 7'):
    baselines.Unigram.fit([[1, 9]], _VOCAB)
