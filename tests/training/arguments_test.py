"""Arguments of the loop that are of another type are refused in a sentence."""
import jax
import jax.numpy as jnp
import optax
import pytest

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.objectives import lm
from lmjax.training import loop
from lmjax.training.optimizers import adamw
from lmjax.training import step

PARAMS = {'w': jnp.ones(3)}
OPTIMIZER = optax.adam(1e-3)
BATCH = {'x': jnp.ones((2, 3))}


def objective(params, batch, rng=None):
  return {'loss': metrics.Mean.of(batch['x'] @ params['w'])}


def fit(**changes):
  state = step.init_state(PARAMS, OPTIMIZER, 0)
  return loop.fit(**dict(
      state=state, batches=lambda step: BATCH, objective=objective,
      optimizer=OPTIMIZER, steps=1) | changes)


def test_the_arguments_that_the_others_change_are_right():
  assert int(fit().state.step) == 1


@pytest.mark.parametrize('changes, words', [
    (dict(state=PARAMS), r'state should be .*step.init_state.*; got a dict'),
    (dict(batches=[BATCH]), r'function from a step.*len\(batches\).*a list'),
    (dict(batches=iter([BATCH])), 'Got a list_iterator'),
    (dict(batches=lambda step: (1, 2)), r'batches\(0\) should return a dict'),
    (dict(objective=lm.Causal()), 'build.* of an objective.*; got Causal'),
    (dict(objective=lambda params, batch: 0), r"rng=None\); .* argument 'rng'"),
    (dict(optimizer=adamw.AdamW()), r'optax.adamw.*build.*; got AdamW'),
    (dict(optimizer=None), 'optimizer should be .*; got NoneType'),
])
def test_another_type_is_refused(changes, words):
  with pytest.raises(errors.InputError, match=words):
    fit(**changes)


@pytest.mark.parametrize('returned, words', [
    (lambda loss: loss, r"dict of metrics.Mean .*; got an array of shape \(\)"),
    (lambda loss: (loss, {}), 'got a tuple'),
    (lambda loss: {'loss': loss}, r"got an array of shape \(\) as 'loss'"),
    (lambda loss: {'loss': metrics.Mean.of(loss), 'nll': 1.0},
     "got a float as 'nll'"),
    (lambda loss: {'nll': metrics.Mean.of(loss)}, r"got only \['nll'\]"),
])
def test_an_objective_that_returns_no_means_is_refused(returned, words):
  def other(params, batch, rng=None):
    return returned(jnp.sum(params['w']))
  with pytest.raises(errors.InputError, match=words):
    fit(objective=other)


def test_a_state_needs_an_optax_transformation():
  with pytest.raises(errors.InputError, match='got AdamW'):
    step.init_state(PARAMS, adamw.AdamW(), 0)


def test_a_function_without_a_signature_is_accepted():
  class Opaque:
    __signature__ = None

    def __call__(self, params, batch, rng=None):
      return objective(params, batch)
  assert int(fit(objective=jax.tree_util.Partial(objective)).state.step) == 1
  assert int(fit(objective=Opaque()).state.step) == 1
