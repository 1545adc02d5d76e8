"""Histograms are of the parameters and the gradient that a step uses."""
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import metrics
from lmjax.training import histograms
from lmjax.training import loop
from lmjax.training import step as step_lib

PARAMS = {'w': np.linspace(-1, 1, 6, dtype=np.float32)}


def objective(params, batch, rng=None):
  keep = 1.0 if rng is None else jax.random.bernoulli(
      rng, 0.5, params['w'].shape)
  loss_B = jnp.square(batch['x'] @ (keep * params['w']) - 1)
  return {'loss': metrics.Mean.of(loss_B, batch['weights'])}


def batches(step):
  rng = np.random.default_rng(step)
  return {'x': rng.normal(size=(8, 6)).astype(np.float32),
          'weights': np.ones(8, np.float32)}


class Recorder:
  def __init__(self):
    self.found, self.steps = {}, []

  def histogram(self, step, name, counts, edges):
    self.steps.append(step)
    self.found[name] = (counts, edges)


def test_values_that_are_not_finite_have_no_histogram():
  assert histograms.of(np.array([1.0, np.nan])) is None
  counts, edges = histograms.of(np.full(5, 2.0))
  assert counts.sum() == 5 and edges[0] <= 2 <= edges[-1]


@pytest.mark.parametrize('parts', [1, 4, 3])
def test_the_gradient_is_the_one_of_the_step(parts):
  seen = Recorder()
  optimizer = optax.sgd(1.0)
  state = step_lib.init_state(PARAMS, optimizer, 3)
  observer = histograms.Observer(1, objective, batches, [seen], parts)
  observer(1, state)
  after, _ = step_lib.train_step(
      state, batches(0), objective=objective, optimizer=optimizer)
  gradient = PARAMS['w'] - np.asarray(after.params['w'])
  _, edges = seen.found['gradients/w']
  assert edges[[0, -1]] == pytest.approx(
      [gradient.min(), gradient.max()], abs=1e-5)
  assert seen.found['parameters/w'][0].sum() == 6


@pytest.mark.parametrize('parallel', ['jit', 'pmap', 'mesh'])
def test_a_run_is_the_same_with_histograms(parallel):
  def params(observer=None):
    optimizer = optax.sgd(0.1)
    state = step_lib.init_state(PARAMS, optimizer, 0)
    return loop.fit(state, batches, objective=objective, optimizer=optimizer,
                    steps=5, parallel=parallel, observer=observer).state.params
  seen = Recorder()
  observer = histograms.Observer(2, objective, batches, [seen])
  np.testing.assert_array_equal(params(observer)['w'], params()['w'])
  assert sorted(set(seen.steps)) == [2, 4]
  assert set(seen.found) == {'parameters/w', 'gradients/w'}
