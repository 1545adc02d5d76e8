"""A bad step changes nothing, and does not make the next one bad."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import trees
from lmjax.parallel import strategy as strategy_lib
from lmjax.training import guard
from lmjax.training import step as step_lib

LOOKING = guard.Guard(spike=guard.Spike(window=8, at_least=4))


def bits(tree):
  return [(path, np.asarray(leaf).tobytes()) for path, leaf in trees.items(
      tree)]


def kept(state):
  """Returns all that a bad step should not change."""
  return bits({'params': state.params, 'opt_state': state.opt_state,
               'ema': state.ema, 'averaged': state.averaged})


def advance(toy, state, batch, rule=guard.Guard(), objective=None):
  update = compiled(objective or toy.objective, rule, guard.unless_bad)
  return update(state, batch)


@functools.cache
def compiled(objective, rule, unless_bad):
  del unless_bad  # It is looked up when the step is traced.
  return jax.jit(functools.partial(
      step_lib.train_step, objective=objective, optimizer=OPTIMIZER,
      ema_decay=0.9, guard=rule))


OPTIMIZER = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(1e-2))


def nan_loss(params, batch, rng=None):
  del rng
  return {'loss': metrics.Mean(params['head']['kernel'].sum() * batch['nan'][0],
                               1.0)}


def gradient_not_finite(params, batch, rng=None):
  """A finite loss whose gradient is not finite in one entry."""
  del rng, batch
  x = params['head']['kernel']
  return {'loss': metrics.Mean(jnp.sqrt(jnp.abs(x[0, 0] - x[0, 0])), 1.0)}


@pytest.fixture(params=['here', 'elsewhere'])
def guarded(request, monkeypatch):
  """As on this platform, and as where a selection does it."""
  if request.param == 'elsewhere':
    monkeypatch.setattr(guard, 'unless_bad', guard._selected)


@pytest.mark.usefixtures('guarded')
@pytest.mark.parametrize('objective', [nan_loss, gradient_not_finite])
@pytest.mark.parametrize('before', [0, 3])
def test_a_step_that_is_not_finite_changes_only_the_count(toy, objective, before):
  state = step_lib.init_state(toy.params, OPTIMIZER, 0, ema=True)
  for i in range(before):
    state, _ = advance(toy, state, toy.batches(i))
  batch = toy.batches(9) | {'nan': np.full(16, np.nan, np.float32)}
  after, found = advance(toy, state, batch, objective=objective)
  assert kept(after) == kept(state)
  assert int(after.step) == before + 1 and found['skipped'].value == 1
  good, found = advance(toy, after, toy.batches(10))
  assert found['skipped'].value == 0 and kept(good) != kept(after)
  # As if the bad step had never been, but for its number.
  again, _ = advance(toy, state.replace(step=after.step), toy.batches(10))
  assert kept(again) == kept(good)


def test_devices_agree_on_what_is_bad(toy):
  strategy = strategy_lib.Pmap()
  batch = dict(toy.batches(0))
  batch['weights'] = batch['weights'].copy()
  batch['weights'][3] = np.nan  # A single device sees it.
  state = step_lib.init_state(toy.params, OPTIMIZER, 0, ema=True)
  update = strategy.compile(functools.partial(
      step_lib.train_step, objective=toy.objective, optimizer=OPTIMIZER))
  after, found = update(strategy.place(state), strategy.shard(batch))
  assert kept(strategy.gather(after)) == kept(state)
  assert strategy.fetch(found)['skipped'].value == 1


def judged(losses, rule=LOOKING):
  """Returns which of a sequence of losses are bad."""
  memory, found = rule.memory(), []
  judge = jax.jit(rule.judge)
  for loss in losses:
    good, memory = judge(jnp.float32(loss), jnp.float32(1), memory)
    found.append(not good)
  return found


def test_a_spike_is_far_above_the_recent_losses():
  usual = [4.0, 4.1, 3.9, 4.05, 3.95, 4.0]
  assert judged([*usual, 9.0, 4.0, 4.4, 1.0]) == [False] * 6 + [
      True, False, False, False]
  assert judged([9.0, *usual]) == [False] * 7  # Nothing to compare with.
  assert judged([4.0] * 6 + [4.01, 4.1]) == [False] * 7 + [True]


def test_nan_is_bad_and_never_becomes_normal():
  usual = [4.0, 4.1, 3.9, 4.05]
  nans = [np.nan] * 20
  assert judged([*usual, *nans, 9.0, 4.0]) == [False] * 4 + [True] * 21 + [
      False]
  assert judged([np.nan, np.inf, 4.0]) == [True, True, False]


def test_a_lasting_level_becomes_normal():
  found = judged([4.0, 4.1] * 4 + [9.0, 9.1] * 8)
  assert found[8] and not any(found[13:])


def test_the_reason_is_named():
  assert guard.reason(np.nan, 1.0) == 'its loss is nan'
  assert guard.reason(1.0, np.inf) == 'its gradient norm is inf'
  assert 'spike' in guard.reason(9.0, 1.0)


def test_wrong_settings_are_refused(toy):
  with pytest.raises(errors.InputError, match='max_bad_steps .* got 0'):
    guard.Guard(max_bad_steps=0)
  with pytest.raises(errors.InputError, match='at_least=9, window=8'):
    guard.Spike(window=8, at_least=9)
  with pytest.raises(errors.InputError, match='threshold .* got 0'):
    guard.Spike(threshold=0)
  state = step_lib.init_state(toy.params, OPTIMIZER, 0)
  with pytest.raises(errors.InputError, match='pass the guard to init_state'):
    advance(toy, state, toy.batches(0), rule=LOOKING)
