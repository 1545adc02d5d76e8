"""The hidden Markov model against sums over every path of states."""
import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models.counted import hmm

_STATES, _VOCAB, _BOS = 3, 5, 0
_TEXT = [_BOS, 1, 3, 2, 4]


def _hot(floor=0.05):
  """Returns a model with far from uniform probabilities."""
  rng = np.random.default_rng(0)
  rows = lambda *shape: jnp.asarray(
      (1 - floor) * rng.dirichlet(np.full(shape[-1], 0.4), shape[:-1])
      + floor / shape[-1], jnp.float32)
  return hmm.Hmm(hmm.Parameters(
      rows(_STATES), rows(_STATES), rows(_STATES, _STATES),
      rows(_STATES, _VOCAB)), _BOS)


def _paths(model, tokens):
  """Returns {states: joint probability with the tokens}."""
  first, resumed, transition, emission = (
      np.asarray(x, np.float64) for x in model.params)
  out = {}
  for states in itertools.product(range(_STATES), repeat=len(tokens)):
    p = (first if tokens[0] == _BOS else resumed)[states[0]]
    for before, state in zip(states, states[1:]):
      p *= transition[before, state]
    for state, token in zip(states, tokens):
      p *= emission[state, token]
    out[states] = p
  return out


def _p(model, tokens):
  return sum(_paths(model, tokens).values())


@pytest.mark.parametrize('tokens', [_TEXT, _TEXT[1:]])
def test_likelihood_sums_over_all_paths(tokens):
  model = _hot()
  assert model.log_likelihood(tokens) == pytest.approx(
      math.log(_p(model, tokens)), rel=1e-5)


@pytest.mark.parametrize('tokens', [_TEXT, _TEXT[1:]])
def test_viterbi_is_the_most_probable_path(tokens):
  model = _hot()
  paths = _paths(model, tokens)
  states, log_p = model.viterbi(tokens)
  assert tuple(states.tolist()) == max(paths, key=paths.get)
  assert log_p == pytest.approx(math.log(max(paths.values())), rel=1e-5)


def test_predictions_are_ratios_of_likelihoods():
  model = _hot()
  # Two texts in a row, the second one resumed; then padding.
  inputs = np.array([[_BOS, 1, 3, 2, 4, 1, 0]])
  targets = np.array([[1, 3, 2, 4, 1, 2, 0]])
  nll_BT, correct_BT = model({
      'inputs': inputs, 'targets': targets,
      'positions': np.array([[0, 1, 2, 0, 1, 2, 0]]),
      'segments': np.array([[1, 1, 1, 2, 2, 2, 0]])})
  for start, column in [(0, 0), (0, 1), (0, 2), (3, 3), (3, 4), (3, 5)]:
    seen = inputs[0, start:column + 1].tolist()
    p = [_p(model, [*seen, token]) / _p(model, seen) for token in range(_VOCAB)]
    assert sum(p) == pytest.approx(1)
    target = targets[0, column]
    assert math.exp(-nll_BT[0, column]) == pytest.approx(p[target], rel=1e-4)
    assert correct_BT[0, column] == (np.argmax(p) == target)
  assert nll_BT[0, 6] == 0


def test_em_step_by_all_paths():
  model = _hot()
  rows = [_TEXT, [2, 2, 4]]
  expected = [np.zeros(x.shape) for x in model.params]
  for tokens in rows:
    total = _p(model, tokens)
    for states, p in _paths(model, tokens).items():
      expected[int(tokens[0] != _BOS)][states[0]] += p / total
      for before, state in zip(states, states[1:]):
        expected[2][before, state] += p / total
      for state, token in zip(states, tokens):
        expected[3][state, token] += p / total
  found, log_likelihood = hmm.em_step(model.params, [(
      np.array([_TEXT, [2, 2, 4, 0, 0]]),
      np.array([[True] * 5, [True] * 3 + [False] * 2]),
      np.array([True, False]))])
  for new, counts in zip(found, expected):
    np.testing.assert_allclose(
        new, counts / counts.sum(axis=-1, keepdims=True), atol=1e-5)
  assert log_likelihood == pytest.approx(
      sum(math.log(_p(model, tokens)) for tokens in rows), rel=1e-5)


def test_em_never_makes_the_text_less_probable():
  rng = np.random.default_rng(0)
  documents = [np.array([_BOS, *np.sort(rng.integers(1, 5, n))])
               for n in rng.integers(3, 15, 12)]
  model = hmm.HmmConfig(_STATES, steps=25, length=8).fit(
      documents, _VOCAB + 1, _BOS)
  gains = np.diff(model.history)
  assert (gains > -1e-4 * abs(model.history[0]) / 100).all()
  assert model.history[-1] > 0.6 * model.history[0]  # And much more at first.
  assert (model.params.emission_CV > 0).all()
  for row in model.params[1:]:
    np.testing.assert_allclose(row.sum(axis=-1), 1, rtol=1e-5)


def test_load_gives_what_was_saved(tmp_path):
  model = _hot()
  model.save(tmp_path / 'model.npz')
  loaded = hmm.load(tmp_path / 'model.npz')
  assert loaded.digest == model.digest and loaded.bos_id == _BOS
  assert loaded.log_likelihood(_TEXT) == model.log_likelihood(_TEXT)


def test_a_document_in_stretches_counts_every_token():
  batches = list(hmm._stretches([_TEXT, [_BOS, 2]], 2, _VOCAB, _BOS))
  rows = [row for batch in batches for row in zip(*batch)]
  found = sorted((begins.item(), *tokens[is_text].tolist())
                 for tokens, is_text, begins in rows)
  assert found == [(False, 3, 2), (False, 4), (True, 0, 1), (True, 0, 2)]


@pytest.mark.parametrize('kwargs, told', [
    ({'num_states': 0}, 'num_states should be at least 1'),
    ({'steps': 0}, 'steps'), ({'floor': 1.0}, 'below 1; got 1.0')])
def test_impossible_config_is_refused(kwargs, told):
  with pytest.raises(errors.InputError, match=told):
    hmm.HmmConfig(**kwargs)


@pytest.mark.parametrize('documents, told', [
    ([[]], 'at least one token'), ([[0, 5]], 'from 0 to 4; got 5')])
def test_impossible_documents_are_refused(documents, told):
  with pytest.raises(errors.InputError, match=told):
    hmm.HmmConfig().fit(documents, _VOCAB, _BOS)
