"""When the average starts, its value, and that it survives a stop."""
import jax
import numpy as np
import optax
import pytest

from lmjax.checkpoints import store
from lmjax.core import errors
from lmjax.training import averaging
from lmjax.training import loop
from lmjax.training import step

STEPS, RULE = 8, averaging.NonMonotone(patience=1)
SCORES = {2: 3.0, 4: 2.0, 6: 2.5, 8: 2.6}  # 2.5 is no worse than 3: not yet.


@pytest.mark.parametrize('scores, begins', [
    ([3.0], False), ([3.0, 4.0], False), ([3.0, 4.0, 5.0], True),
    ([3.0, 2.0, 2.5], False), ([3.0, 2.0, 2.5, 2.1], True)])
def test_it_starts_when_an_evaluation_is_worse_than_older_ones(scores, begins):
  assert RULE.begins(scores) == begins


def fit(toy, directory=None, steps=STEPS + 4, state=None, seen=None, **kwargs):
  def evaluate(params, number):
    if seen is not None:
      seen[number] = jax.device_get(params)
    return {'valid/loss': SCORES.get(number, 1.0)}

  optimizer = optax.sgd(0.1)
  fresh = step.init_state(toy.params, optimizer, 0, equal=True)
  options = dict(
      objective=toy.objective, optimizer=optimizer, steps=steps,
      evaluate=evaluate, eval_every=2, average=RULE, **kwargs)
  if directory is None:
    return loop.fit(fresh, toy.batches, **options).state
  with store.Checkpoints(directory) as saved:
    state, progress = saved.resume(fresh)
    return loop.fit(state, toy.batches, checkpoints=saved, progress=progress,
                    **options).state


@pytest.mark.slow
def test_from_then_on_parameters_are_averaged_and_evaluated(toy, tmp_path):
  seen = {}
  state = fit(toy, seen=seen)
  assert int(state.averaged) == 4
  plain = step.init_state(toy.params, optax.sgd(0.1), 0)
  update = jax.jit(lambda state, batch: step.train_step(
      state, batch, objective=toy.objective, optimizer=optax.sgd(0.1))[0])
  trail = []
  for i in range(STEPS + 4):
    plain = update(plain, toy.batches(i))
    trail.append(jax.device_get(plain.params))
  mean = jax.tree.map(lambda *p: np.mean(p, axis=0), *trail[STEPS:])
  close = lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
  jax.tree.map(close, state.ema, mean)
  jax.tree.map(close, seen[STEPS + 4], mean)
  jax.tree.map(close, seen[STEPS], trail[STEPS - 1])
  jax.tree.map(close, state.params, trail[-1])

  for stop in STEPS, STEPS + 4:  # Stopped where it begins, and continued.
    resumed = fit(toy, tmp_path / 'run', steps=stop)
  for got, want in zip(jax.tree.leaves((resumed.ema, resumed.averaged)),
                       jax.tree.leaves((state.ema, state.averaged))):
    assert np.asarray(got).tobytes() == np.asarray(want).tobytes()


@pytest.mark.slow
def test_all_devices_start_together(toy):
  one, many = fit(toy), fit(toy, parallel='pmap')
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a, b, rtol=1e-5, atol=2e-6), one.ema, many.ema)


def test_a_state_without_room_for_it_is_refused(toy):
  with pytest.raises(errors.InputError, match='patience should be'):
    averaging.NonMonotone(0)
  with pytest.raises(errors.InputError, match='equal=True to init_state'):
    loop.fit(step.init_state(toy.params, optax.sgd(0.1), 0), toy.batches,
             objective=toy.objective, optimizer=optax.sgd(0.1), steps=1,
             average=RULE)
