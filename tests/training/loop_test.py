"""A run: its rows, when it stops, and that it can be resumed."""
import contextlib
import functools

import jax
import numpy as np
import optax
import pytest

from lmjax.checkpoints import store as checkpoints_lib
from lmjax.core import errors
from lmjax.core import trees
from lmjax.parallel import strategy as strategy_lib
from lmjax.training import guard
from lmjax.training import log
from lmjax.training import loop
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import schedules
from lmjax.training import step
from lmjax.training import stopping
from lmjax.training import supervision

STEPS = 9


def fit(toy, state=None, steps=STEPS, **kwargs):
  optimizer = adamw.AdamW(
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
  optimizer = adamw.AdamW(
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


@pytest.mark.slow
def test_numbers_do_not_depend_on_how_it_runs(toy):
  plain, *others = [
      fit(toy, steps=6, ema_decay=0.9, **kwargs).state for kwargs in (
          {}, {'parallel': 'pmap'}, {'microbatches': 2, 'log_every': 1})]
  for other in others:
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=2e-6),
        (plain.params, plain.ema), (other.params, other.ema))


@pytest.mark.parametrize(
    'parallel', ['jit', pytest.param('pmap', marks=pytest.mark.slow)])
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


@pytest.mark.slow
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


def poisoned(toy, *steps):
  """Gives the batches of some steps, counted from 0, infinite weights."""
  def batches(i, plain=toy.batches):
    batch = plain(i)
    if i in steps:
      batch['weights'][:] = np.inf
    return batch
  toy.batches = batches


def test_a_bad_step_is_an_event_and_changes_nothing(toy):
  poisoned(toy, 5)
  recorder, events = Recorder(), Recorder()
  result = fit(toy, writers=[recorder], log_every=4, supervision=(
      supervision.Supervision(events=events, documents=lambda i: [f'of {i}'])))
  event, = events.rows
  assert event['step'] == 6 and event['event'] == 'bad step'
  assert event['documents'] == ['of 5'] and 'nan' in event['reason']
  assert np.isfinite([row['loss'] for row in recorder.rows]).all()
  assert [row.get('skipped', 0) for row in recorder.rows] == [0, 1, 0]
  assert int(result.state.step) == STEPS
  counts = [int(leaf) for path, leaf in trees.items(result.state.opt_state)
            if path.endswith('count')]
  assert counts and set(counts) == {STEPS - 1}


def test_bad_steps_in_a_row_end_the_run(toy):
  poisoned(toy, 4, 5, 6)
  with pytest.raises(log.BadSteps, match='Step 6 is bad step 2 in a row'):
    fit(toy, guard=guard.Guard(max_bad_steps=2))


class Interrupts:
  """Asks to stop once so many steps have been made."""

  def __init__(self, after):
    self.after = after

  def requested(self):
    self.after -= 1
    return None if self.after > 0 else 'SIGTERM'


@pytest.mark.parametrize('after', [
    2, *(pytest.param(after, marks=pytest.mark.slow) for after in (4, 7))])
def test_an_interrupted_run_is_saved_where_it_is(toy, tmp_path, after):
  settings = dict(
      objective=toy.dropout_objective, log_every=3, save_every=4, eval_every=4,
      evaluate=lambda params, step: {'valid/loss': 1 / step})
  whole = fit(toy, **settings)
  with checkpoints_lib.Checkpoints(tmp_path) as saved:
    part = fit(toy, checkpoints=saved, **settings, supervision=(
        supervision.Supervision(Interrupts(after))))
    assert part.interrupted == 'SIGTERM' and int(part.state.step) == after
    found = saved.restore_latest(whole.state)
    assert found.step == after
    rest = fit(toy, found.state, checkpoints=saved, progress=found.progress,
               **settings)
  assert rest.interrupted is None
  same_bits(whole.state, rest.state)

  def untimed(rows):
    return [{k: v for k, v in row.items() if k != 'tokens_per_s'}
            for row in rows]

  assert untimed(part.rows + rest.rows) == untimed(whole.rows)


@pytest.mark.slow
def test_states_are_saved_by_time_too(toy, tmp_path):
  with checkpoints_lib.Checkpoints(tmp_path, keep_last=STEPS) as saved:
    fit(toy, checkpoints=saved, save_minutes=1e-9)
    assert saved.steps() == list(range(1, STEPS + 1))


def test_devices_that_drift_apart_end_the_run(toy):
  class Drifting(strategy_lib.Pmap):
    def drifted(self, tree):
      assert jax.tree.leaves(tree)[0].shape[0] == 8
      return ['params/head: device 3'] if len(seen) > 1 else seen.append(1)

  seen = []
  with pytest.raises(errors.RunError, match='After step 6 .*params/head'):
    fit(toy, parallel=Drifting(), supervision=(
        supervision.Supervision(replicas_every=2)))


def test_the_watchdog_watches_batches_steps_and_evaluations(toy, tmp_path):
  class Watchdog:
    def __init__(self):
      self.seen = []

    @contextlib.contextmanager
    def watching(self, what):
      self.seen.append(what)
      yield

  watchdog = Watchdog()
  with checkpoints_lib.Checkpoints(tmp_path) as saved:
    fit(toy, steps=2, checkpoints=saved, supervision=supervision.Supervision(
        watching=watchdog.watching), evaluate=lambda params, step: {'valid/loss': 1.0})
  assert watchdog.seen == [
      'the batch of step 1', 'step 1', 'the batch of step 2', 'step 2',
      'the evaluation of step 2', 'the save of step 2']


def test_average_needs_room(toy):
  with pytest.raises(errors.InputError, match='ema=True'):
    state = step.init_state(toy.params, optax.sgd(0.1), 0)
    fit(toy, state, ema_decay=0.5)


@pytest.mark.slow
def test_profile_ends_with_the_run(toy, tmp_path):
  fit(toy, steps=12, profile=tmp_path)
  assert list(tmp_path.rglob('*.xplane.pb'))
