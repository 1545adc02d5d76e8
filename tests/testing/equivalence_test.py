"""Each check passes on right code and catches its seeded bugs."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import layouts
from lmjax.objectives import lm
from lmjax.testing import batches
from lmjax.testing import equivalence
from lmjax.training import step as step_lib

BATCH = batches.alone(batches.documents([8, 1, 3, 6, 2, 8, 5, 4], 13))


def caught(match, check, *args, **kwargs):
  with pytest.raises(AssertionError, match=match):
    check(*args, **kwargs)


@pytest.fixture(scope='module')
def state(toy):
  return step_lib.init_state(toy[1], optax.sgd(0.1), 0)


def step_of(toy):
  loss, _ = toy
  def objective(params, batch, rng=None):
    del rng
    return {'loss': step_lib.Mean(*loss(params, batch))}
  return functools.partial(
      step_lib.train_step, objective=objective, optimizer=optax.sgd(0.1))


# -- accumulation


@pytest.mark.slow
def test_our_step_accumulates_exactly(toy, state):
  step = jax.jit(step_of(toy), static_argnames='microbatches')
  equivalence.accumulation_equals_big_batch(
      lambda batch, parts: step(state, batch, microbatches=parts)[0].params,
      BATCH, parts=(4,), tolerance=5e-6)


def test_mean_of_means_is_caught(toy):
  loss, params = toy
  @jax.jit
  def mean_loss(batch):
    return jnp.divide(*loss(params, batch))
  def update(batch, parts):
    size = len(batch['inputs']) // parts
    return np.mean([mean_loss(batches.rows(batch, i, i + size))
                    for i in range(0, len(batch['inputs']), size)])
  caught('divide once', equivalence.accumulation_equals_big_batch, update,
         BATCH)


def test_full_rows_would_prove_nothing():
  caught('proves nothing', equivalence.accumulation_equals_big_batch,
         lambda batch, parts: 0.0, {'weights': np.ones((4, 3))})


# -- remat


@pytest.fixture(scope='module')
def objectives(make_subject):
  """The causal objective of two layers: plain, scanned, rematerialised."""
  def build(**changes):
    return make_subject(num_layers=2, **changes)
  plain = build()
  return plain.params, {name: lm.Causal().build(build(**changes).model)
                        for name, changes in dict(
                            plain={}, full=dict(remat='full'),
                            dots=dict(remat='dots'), scan=dict(scan=True),
                            scan_full=dict(scan=True, remat='full')).items()}


@pytest.mark.parametrize('policy', [
    'full', pytest.param('dots', marks=pytest.mark.slow)])
@pytest.mark.slow
def test_our_remat_is_on_and_changes_nothing(objectives, policy):
  params, losses = objectives
  equivalence.remat_equals_none(
      losses[policy], losses['plain'], params, BATCH, tolerance=5e-6)


def test_remat_that_is_ignored_is_caught(toy):
  loss, params = toy
  caught('Rematerialisation is off', equivalence.remat_equals_none, loss, loss,
         params, BATCH)


def test_remat_that_saves_nothing_is_caught(toy):
  loss, params = toy
  idle = jax.checkpoint(
      loss, policy=jax.checkpoint_policies.everything_saveable)
  caught('saves nothing', equivalence.remat_equals_none, idle, loss, params,
         BATCH)


def test_remat_of_another_function_is_caught(toy):
  loss, params = toy
  def other(params, batch):
    total, weight = loss(params, batch)
    return 1.001 * total, weight
  caught('with rematerialisation', equivalence.remat_equals_none,
         jax.checkpoint(other), loss, params, BATCH)


# -- scan


def stacked(params):
  return layouts.like(params, {'layers': {}})


@pytest.mark.slow
def test_our_scan_equals_the_loop_with_and_without_remat(objectives):
  params, losses = objectives
  equivalence.scan_equals_loop(
      losses['scan'], losses['plain'], params, stacked, BATCH)
  equivalence.remat_equals_none(
      losses['scan_full'], losses['scan'], stacked(params), BATCH)


@pytest.mark.slow
def test_layers_in_the_wrong_order_are_caught(objectives):
  params, losses = objectives
  def backwards(params):
    right = stacked(params)
    return right | {
        'layers': jax.tree.map(lambda x: x[::-1], right['layers'])}
  caught('scanned layers', equivalence.scan_equals_loop, losses['scan'],
         losses['plain'], params, backwards, BATCH)


def test_a_scan_that_is_off_is_caught(toy):
  loss, params = toy
  caught('Nothing is scanned', equivalence.scan_equals_loop, loss, loss, params,
         lambda params: params, BATCH)


# -- jit


def test_randomness_of_the_host_is_caught():
  rng = np.random.default_rng(0)
  caught('under jit|second call', equivalence.jit_equals_no_jit,
         lambda x: x * rng.normal(), jnp.ones(3))


def test_python_state_is_caught():
  calls = []
  def counts(x):
    calls.append(x)
    return x * len(calls)
  caught('under jit', equivalence.jit_equals_no_jit, counts, jnp.ones(3))


# -- devices


@pytest.mark.slow
def test_our_step_is_the_same_on_8_devices(toy, state):
  step = step_of(toy)
  assert jax.local_device_count() == 8
  equivalence.devices_equal_one(
      lambda state, batch, axis: step(state, batch, axis_name=axis),
      state, BATCH, tolerance=5e-6)


@pytest.mark.parametrize('bug, message', [
    (lambda x, axis: x[0] / x[1] if axis is None
     else jax.lax.pmean(x[0] / x[1], axis), 'pmean'),
    (lambda x, axis: x[0] / x[1], 'drift apart'),
], ids=['mean of means', 'no sum at all'])
def test_a_wrong_reduction_is_caught(bug, message):
  def step(state, batch, axis):
    weights = batch['weights']
    return bug((jnp.sum(weights * batch['targets']) * state, weights.sum()),
               axis)
  caught(message, equivalence.devices_equal_one, step, jnp.ones(()), BATCH,
         devices=jax.local_devices()[:4])
