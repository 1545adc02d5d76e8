"""Rows are made from the device's metrics, one interval late."""
import dataclasses
import json
import types

import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import metrics
from lmjax.parallel import strategy
from lmjax.training import guard
from lmjax.training import log
from lmjax.training import stopping


class Meter:
  """Remembers the tokens it was asked to divide by time."""

  def __init__(self):
    self.reads = []

  def start(self):
    self.reads.append('start')

  def stop(self):
    self.reads.append('stop')

  def read(self, tokens, steps):
    self.reads.append((tokens, steps))
    return {'tokens_per_s': 1.0}


def make(progress=None, **kwargs):
  progress, meter = progress or stopping.Progress(tokens=100.0), Meter()
  events = []
  out = log.Log(strategy.Jit(), meter, progress, (),
                learning_rate=lambda step: 0.5 * step,
                bad_step=lambda *known: events.append(known), **kwargs)
  return types.SimpleNamespace(
      log=out, progress=progress, meter=meter, events=events)


@pytest.fixture
def made():
  return make()


def row(loss, tokens=10.0, norm=1.0):
  one = jnp.float32
  bad = not (np.isfinite(loss) and np.isfinite(norm))
  return {'loss': metrics.Mean(one(loss * tokens), one(tokens)),
          'grad_norm': metrics.Mean(one(norm), one(1)),
          'tokens': metrics.Mean(one(tokens), one(1)),
          'skipped': metrics.Mean(one(bad), one(1))}


def test_a_row_waits_for_the_next_flush(made):
  made.log.add(1, 'aaaaaaaa', row(4.0))
  made.log.add(2, 'bbbbbbbb', row(1.0, tokens=30.0))
  made.log.flush()
  assert not made.log.rows
  made.log.cut()
  made.log.flush()
  made.log.add(3, 'cccccccc', row(9.0))
  made.log.flush()
  only, = made.log.rows
  assert only.pop('batch') not in ('aaaaaaaa', 'bbbbbbbb')
  assert only == {'step': 2, 'loss': 1.75, 'grad_norm': 1.0, 'tokens': 140.0,
                  'tokens_per_s': 1.0, 'learning_rate': 0.5}
  assert made.progress.tokens == 140.0


def test_the_first_step_is_not_timed(made):
  made.log.add(1, 'a', row(4.0))
  made.log.cut()
  made.log.flush()
  assert 'tokens_per_s' not in made.log.rows[0]
  made.log.add(2, 'b', row(4.0))
  made.log.cut()
  made.log.flush()
  assert made.meter.reads == ['start', (10.0, 1)]
  assert [found['batch'] for found in made.log.rows] == ['a', 'b']


def test_a_save_in_the_middle_of_an_interval_does_not_shorten_its_time(made):
  for step in range(1, 4):
    made.log.add(step, 'a', row(4.0))
  made.log.rest()  # The clock stops only when all steps have ended.
  assert [step.number for step in made.log._landed] == [1, 2, 3]
  made.meter.start()
  made.log.add(4, 'b', row(4.0))
  made.log.cut()
  made.log.flush()
  assert made.meter.reads == ['start', 'stop', 'start', (30.0, 3)]


def test_steps_from_before_a_resume_are_not_timed():
  made = make()
  made.log.add(1, 'a', row(4.0))
  made.log.add(2, 'b', row(4.0))
  made.log.rest()
  made.log.store()
  again = make(made.progress)
  again.log.add(3, 'c', row(4.0))
  again.log.add(4, 'd', row(4.0, tokens=7.0))
  again.log.cut()
  again.log.flush()
  assert again.meter.reads == ['start', (7.0, 1)]


def test_the_time_of_bad_steps_counts_and_their_tokens_do_not(made):
  for step, loss in enumerate([1.0, np.nan, 1.0], 1):
    made.log.add(step, 'a', row(loss))
  made.log.cut()
  made.log.flush()
  assert made.meter.reads == ['start', (10.0, 2)]


def test_the_unit_names_the_count():
  made = make(unit='texts')
  made.log.add(1, 'a', row(4.0))
  made.log.cut()
  made.log.flush()
  assert made.log.rows[0]['texts'] == 110.0 and 'tokens' not in made.log.rows[0]


def test_an_interval_saved_open_gives_the_same_row():
  def run(stop_after):
    made = make()
    for step in range(1, 8):
      made.log.flush()
      made.log.add(step, f'{step:08x}', row(0.1 * step, tokens=1 + step / 3))
      if step == stop_after:
        made.log.rest()
        made.log.store()
        made = make(stopping.Progress(**json.loads(
            json.dumps(dataclasses.asdict(made.progress)))))
      if step % 5 == 0:
        made.log.cut()
    made.log.cut()
    made.log.flush()
    return [{k: v for k, v in found.items() if k != 'tokens_per_s'}
            for found in made.log.rows]

  whole = run(None)
  assert [found['step'] for found in whole] == [5, 7]
  for stop_after in (1, 3, 4, 6):
    assert run(stop_after)[-1] == whole[-1]  # Floats to the last bit.
  assert run(3) == whole


@pytest.mark.parametrize('bad, words', [
    (dict(loss=np.nan), 'its loss is nan'),
    (dict(loss=1.0, norm=np.inf), 'its gradient norm is inf')])
def test_a_bad_step_is_reported_and_not_in_the_row(made, bad, words):
  for step, values in enumerate([dict(loss=1.0), bad, dict(loss=3.0)], 1):
    made.log.add(step, f'batch {step}', row(**values))
  made.log.cut()
  made.log.flush()
  (step, known), = made.events
  assert step == 2 and known['reason'] == words and known['batch'] == 'batch 2'
  only, = made.log.rows
  assert only['loss'] == 2.0 and only['skipped'] == 1
  assert only['tokens'] == 120.0 and only['grad_norm'] == 1.0
  assert only['learning_rate'] == 0.5  # Two updates have been made.
  assert made.progress.skipped == 1 and made.progress.bad_in_a_row == 0


def test_a_row_of_bad_steps_has_their_loss(made):
  made.log.add(1, 'a', row(np.nan))
  made.log.cut()
  made.log.flush()
  assert np.isnan(made.log.rows[0]['loss'])
  assert made.progress.tokens == 100.0


def test_too_many_bad_steps_in_a_row_end_the_run():
  made = make(guard=guard.Guard(max_bad_steps=3))
  losses = [np.nan, np.nan, 1.0, np.nan, np.nan, np.nan, 1.0, 1.0, 1.0]
  with pytest.raises(log.BadSteps, match=(
      r'(?s)Step 6 is bad step 3 in a row: its loss is nan.*rollback')):
    for step, loss in enumerate(losses, 1):
      made.log.add(step, 'x', row(loss))
  assert [step for step, _ in made.events] == [1, 2, 4, 5, 6]
  made = make(stopping.Progress(bad_in_a_row=2), guard=guard.Guard(3))
  made.log.add(7, 'x', row(np.nan))
  with pytest.raises(log.BadSteps, match='Step 7'):  # Also across a restart.
    made.log.rest()


def test_a_batch_of_padding_is_not_bad(made):
  made.log.add(1, 'a', row(0.0, tokens=0.0))
  made.log.cut()
  made.log.flush()
  assert np.isnan(made.log.rows[0]['loss']) and not made.events
