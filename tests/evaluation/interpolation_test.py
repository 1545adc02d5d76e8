"""Mixtures against sums, and EM against a search over a grid."""
import functools
import types

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation import carried
from lmjax.evaluation import interpolation
from lmjax.evaluation import likelihood
from lmjax.evaluation import windows

DOCUMENTS = [np.arange(n) % 7 for n in (9, 1, 30, 0, 2)]
TOKENS = 8 + 29 + 1


def _tables(number=2, size=400, seed=0):
  """Returns probabilities, and tables that hold their logarithms."""
  rng = np.random.default_rng(seed)
  p = rng.uniform(0.01, 0.6, (number, size)) ** rng.uniform(
      0.5, 2, (number, 1))
  correct = rng.random((number, size)) < 0.5
  return p, [interpolation.Table(
      -np.log(p[i]).astype(np.float32), correct[i], np.array([0, size]))
             for i in range(number)]


def _fixed(nll):
  return interpolation.Table(np.array([nll]), np.zeros(1, bool), np.array([0, 1]))


def _of_place(batch):
  """A score that tells places apart, and the documents' first tokens."""
  nll_BT = batch['positions'] * 10.0 + batch['inputs'] + batch['targets'] / 10
  return nll_BT, batch['targets'] == 3


@pytest.mark.parametrize('lay', [
    carried.Windows(5), functools.partial(
        windows.Windows, context=40, stride=40, batch_size=2)])
def test_a_table_knows_each_token_however_it_was_read(lay):
  found = interpolation.table(_of_place, DOCUMENTS, lay)
  want = np.concatenate([
      np.arange(n - 1) * 10 + d[:-1] + d[1:] / 10
      for d in DOCUMENTS if (n := len(d)) > 1])
  np.testing.assert_allclose(found.nll, want, rtol=1e-6)
  assert found.offsets.tolist() == [0, 8, 8, 37, 37, 38]
  for packed in (True, False):  # And it is a score, of windows of any size.
    report = likelihood.evaluate(
        found, DOCUMENTS, vocab_size=7, context=4, stride=2, batch_size=3,
        packed=packed)
    first = 4 * np.log(7)  # Of documents that begin without BOS.
    assert report.nats_per_token * report.tokens == pytest.approx(
        want.sum() + first, rel=1e-5)
    right = sum(np.count_nonzero(d[1:] == 3) for d in DOCUMENTS)
    assert report.accuracy * report.tokens == pytest.approx(right + 4 / 7)


def test_probabilities_are_averaged():
  p, tables = _tables(3)
  found = interpolation.mix(tables, (0.2, 0.5, 0.3))
  np.testing.assert_allclose(
      np.exp(-found.nll), 0.2 * p[0] + 0.5 * p[1] + 0.3 * p[2], rtol=1e-5)
  assert found.nll.dtype == np.float32
  assert (found.correct == tables[1].correct).all()


def test_one_finite_score_is_enough():
  found = interpolation.mix([_fixed(np.inf), _fixed(2000.0)], (0.5, 0.5))
  assert found.nll[0] == pytest.approx(2000 + np.log(2))


def test_em_finds_the_best_of_a_grid():
  p, tables = _tables()
  grid = np.linspace(0, 1, 2001)
  gains = [np.log(w * p[0] + (1 - w) * p[1]).mean() for w in grid]
  found = interpolation.fit_weights(tables)
  assert found.sum() == pytest.approx(1)
  assert 0.05 < found[0] < 0.95  # Else anything that runs into an end passes.
  assert found[0] == pytest.approx(grid[np.argmax(gains)], abs=2e-3)


def test_a_useless_score_gets_nothing():
  _, (one, _) = _tables()
  worse = interpolation.Table(one.nll + 1, one.correct, one.offsets)
  assert interpolation.fit_weights([one, worse])[1] < 1e-3


@pytest.mark.parametrize('weights, told', [
    ((1.0,), 'should be 2 numbers'), ((0.7, 0.7), 'sum to 1'),
    ((1.5, -0.5), '>= 0'), ((float('nan'), 1.0), '>= 0')])
def test_impossible_weights_are_refused(weights, told):
  with pytest.raises(errors.InputError, match=told):
    interpolation.mix(_tables()[1], weights)


def test_scores_that_cannot_be_mixed_are_refused():
  stupid = types.SimpleNamespace(normalised=False, name='StupidBackoff 5-gram')
  with pytest.raises(errors.InputError, match='StupidBackoff 5-gram gives'):
    interpolation.table(stupid, DOCUMENTS, carried.Windows(5))
  for none in ([], [interpolation.table(_of_place, [], carried.Windows(5))]):
    with pytest.raises(errors.InputError, match='there are none'):
      interpolation.fit_weights(none)
  with pytest.raises(errors.InputError, match='no finite loss'):
    interpolation.fit_weights([_fixed(np.inf)])
