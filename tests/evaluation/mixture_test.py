"""Mixtures against sums, and EM against a search over a grid."""
import types

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation import mixture


def _scores(number=2, size=200, seed=0):
  """Returns scores of batches that say which rows of fixed losses to give."""
  rng = np.random.default_rng(seed)
  p = rng.uniform(0.01, 0.6, (number, size, 2)) ** rng.uniform(
      0.5, 2, (number, 1, 1))
  correct = rng.random((number, size, 2)) < 0.5
  return p, [lambda batch, i=i: (
      -np.log(p[i][batch['rows']]).astype(np.float32),
      correct[i][batch['rows']]) for i in range(number)]


def _batches(size=200):
  weights = (np.random.default_rng(1).random((size, 2)) < 0.7).astype(float)
  return [{'rows': slice(at, at + 50), 'weights': weights[at:at + 50]}
          for at in range(0, size, 50)]


def test_probabilities_are_averaged():
  p, scores = _scores(3)
  batch = {'rows': slice(0, 4)}
  nll_BT, correct_BT = mixture.Mixture(scores, (0.2, 0.5, 0.3))(batch)
  np.testing.assert_allclose(
      np.exp(-nll_BT), (0.2 * p[0] + 0.5 * p[1] + 0.3 * p[2])[:4], rtol=1e-5)
  assert nll_BT.dtype == np.float32
  assert (correct_BT == scores[1](batch)[1]).all()


def test_one_score_that_knows_is_enough():
  never = lambda batch: (np.full((1, 1), np.inf), np.zeros((1, 1), bool))
  faint = lambda batch: (np.full((1, 1), 2000.0), np.zeros((1, 1), bool))
  nll_BT, _ = mixture.Mixture([never, faint], (0.5, 0.5))({})
  assert nll_BT[0, 0] == pytest.approx(2000 + np.log(2))


def test_em_finds_the_best_of_a_grid():
  p, scores = _scores()
  batches = _batches()
  counted = np.concatenate([b['weights'] for b in batches]) > 0
  grid = np.linspace(0, 1, 2001)
  gains = [np.log(w * p[0] + (1 - w) * p[1])[counted].mean() for w in grid]
  found = mixture.fit_weights(scores, batches)
  assert found.sum() == pytest.approx(1)
  assert 0.05 < found[0] < 0.95  # Else anything that runs into an end passes.
  assert found[0] == pytest.approx(grid[np.argmax(gains)], abs=2e-3)


def test_a_useless_score_gets_nothing():
  _, scores = _scores()
  worse = lambda batch: (scores[0](batch)[0] + 1, None)
  assert mixture.fit_weights([scores[0], worse], _batches())[1] < 1e-3


@pytest.mark.parametrize('weights, told', [
    ((1.0,), 'should be 2 numbers'), ((0.7, 0.7), 'sum to 1'),
    ((1.5, -0.5), '>= 0'), ((float('nan'), 1.0), '>= 0')])
def test_impossible_weights_are_told(weights, told):
  with pytest.raises(errors.InputError, match=told):
    mixture.Mixture(_scores()[1], weights)


def test_what_cannot_be_mixed_is_told():
  with pytest.raises(errors.InputError, match='at least one score'):
    mixture.Mixture([], [])
  stupid = types.SimpleNamespace(normalised=False, name='StupidBackoff 5-gram')
  with pytest.raises(errors.InputError, match='StupidBackoff 5-gram gives'):
    mixture.fit_weights([stupid], [])
  with pytest.raises(errors.InputError, match='the batches hold none'):
    mixture.fit_weights(_scores()[1], [])
  never = lambda batch: (np.full((50, 2), np.inf), None)
  with pytest.raises(errors.InputError, match='no finite loss'):
    mixture.fit_weights([never], _batches())
