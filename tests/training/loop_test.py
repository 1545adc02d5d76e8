"""A run: what it logs, when it stops, and that it can be continued."""
import functools

import jax
import numpy as np
import optax
import pytest

from lmjax.core import errors
from lmjax.training import checkpoints as checkpoints_lib
from lmjax.training import log
from lmjax.training import loop
from lmjax.training import optimizers
from lmjax.training import schedules
from lmjax.training import step
from lmjax.training import stopping

STEPS = 9


def fit(toy, state=None, steps=STEPS, **kwargs):
  optimizer = optimizers.AdamW(
      learning_rate=0.01, schedule=schedules.Cosine(warmup=2)).build(
          toy.params, STEPS)
  if state is None:
    state = step.init_state(
        toy.params, optimizer, 0, ema=kwargs.get('ema_decay') is not None)
  return loop.fit(state, toy.batches, **{'objective': toy.objective} | kwargs,
                  optimizer=optimizer, steps=steps)


class Recorder:
  def __init__(self):
    self.rows = []

  def write(self, step, row):
    self.rows.append({'step': step} | row)


def same_bits(a, b):
  def leaves(state):
    key = jax.random.key_data(state.rng)
    return jax.device_get(jax.tree.leaves(state.replace(rng=key)))

  for x, y in zip(leaves(a), leaves(b), strict=True):
    assert x.dtype == y.dtype and x.tobytes() == y.tobytes()


def test_rows_are_exact_means_over_their_interval(toy):
  recorder = Recorder()
  result = fit(toy, log_every=4, writers=[recorder])
  assert [row['step'] for row in recorder.rows] == [4, 8, 9]
  optimizer = optimizers.AdamW(
      learning_rate=0.01, schedule=schedules.Cosine(warmup=2)).build(
          toy.params, STEPS)
  state = step.init_state(toy.params, optimizer, 0)
  update = jax.jit(functools.partial(
      step.train_step, objective=toy.objective, optimizer=optimizer))
  total = weight = 0
  for i in range(4):
    state, row = update(state, toy.batches(i))
    total, weight = total + row['loss'].total, weight + row['loss'].weight
  assert recorder.rows[0]['loss'] == pytest.approx(float(total / weight))
  assert recorder.rows[0]['tokens'] == float(weight)
  tokens = sum(toy.batches(i)['weights'].sum() for i in range(STEPS))
  assert recorder.rows[-1]['tokens'] == tokens == result.progress.tokens
  assert recorder.rows[-1]['tokens_per_s'] > 0
  assert result.rows == recorder.rows


def test_the_way_it_runs_changes_no_number(toy):
  plain, *others = [
      fit(toy, steps=6, ema_decay=0.9, **kwargs).state for kwargs in (
          {}, {'parallel': 'pmap'}, {'microbatches': 2, 'log_every': 1})]
  for other in others:
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6),
        (plain.params, plain.ema), (other.params, other.ema))


@pytest.mark.parametrize('parallel', ['jit', 'pmap'])
def test_a_run_continues_bit_for_bit(toy, tmp_path, parallel):
  settings = dict(objective=toy.dropout_objective, ema_decay=0.9, save_every=4,
                  log_every=3, parallel=parallel)
  with checkpoints_lib.Checkpoints(tmp_path / 'a') as saved:
    whole = fit(toy, checkpoints=saved, **settings)

  class Killed(Exception):
    pass

  def dies(i):
    if i == 7:
      raise Killed
    return toy_batches(i)

  toy_batches, toy.batches = toy.batches, dies
  with pytest.raises(Killed):
    with checkpoints_lib.Checkpoints(tmp_path / 'b') as saved:
      fit(toy, checkpoints=saved, **settings)
  toy.batches = toy_batches
  with checkpoints_lib.Checkpoints(tmp_path / 'b') as saved:
    found = saved.restore_latest(whole.state)
    assert found.step == 4
    rest = fit(toy, found.state, checkpoints=saved, **settings,
               progress=found.progress)
  same_bits(whole.state, rest.state)

  def untimed(rows):
    return [{k: v for k, v in row.items() if k != 'tokens_per_s'}
            for row in rows]

  assert untimed(rest.rows) == [
      row for row in untimed(whole.rows) if row['step'] > 4]


def test_early_stopping_saves_the_best_step(toy, tmp_path):
  losses = iter([3.0, 1.0, 2.0, 2.0, 0.5])
  with checkpoints_lib.Checkpoints(tmp_path, keep_last=1) as saved:
    result = fit(
        toy, evaluate=lambda params, step: {'valid/loss': next(losses)},
        eval_every=2, stop=stopping.EarlyStopping(patience=2),
        checkpoints=saved, save_every=100)
    assert saved.steps() == [4, 8]
  assert checkpoints_lib.best_step(tmp_path) == 4
  assert result.stopped_early and result.best_step == 4
  assert int(result.state.step) == 8
  assert [row['step'] for row in result.rows if 'valid/loss' in row] == [
      2, 4, 6, 8]
  again = fit(toy, result.state, progress=result.progress,
              stop=stopping.EarlyStopping(patience=2))
  assert int(again.state.step) == 8  # Patience had run out before.


def test_evaluation_gets_the_average(toy):
  seen = []

  def evaluate(params, step):
    seen.append((step, jax.device_get(params)))
    return {'valid/loss': 1.0}

  result = fit(toy, evaluate=evaluate, ema_decay=0.5)
  assert [step for step, _ in seen] == [STEPS]
  jax.tree.map(np.testing.assert_array_equal, seen[0][1],
               jax.device_get(result.state.ema))


def test_a_loss_that_is_not_finite_is_told_at_its_step(toy):
  def batches(i, plain=toy.batches):
    batch = plain(i)
    if i == 5:
      batch['weights'][:] = np.inf
    return batch

  toy.batches = batches
  recorder = Recorder()
  with pytest.raises(log.NonFiniteLoss, match='At step 6 the loss is'):
    fit(toy, writers=[recorder], log_every=4)
  assert [row['step'] for row in recorder.rows] == [4, 8]


def test_average_needs_room(toy):
  with pytest.raises(errors.InputError, match='ema=True'):
    state = step.init_state(toy.params, optax.sgd(0.1), 0)
    fit(toy, state, ema_decay=0.5)


def test_profile_ends_with_the_run(toy, tmp_path):
  fit(toy, steps=12, profile=tmp_path)
  assert list(tmp_path.rglob('*.xplane.pb'))
