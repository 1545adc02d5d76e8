"""Batches come in order, and errors come with them."""
import threading
import time

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.training import feed

SEVERAL = pytest.mark.parametrize('workers', [1, 2, 5])


def feeding():
  return [thread for thread in threading.enumerate() if thread.name == 'feed']


class Gate:
  """Batches that are made when a test says so, in the order that it says."""

  def __init__(self):
    self.changed = threading.Condition()
    self.asked, self.allowed, self.made = set(), set(), []

  def __call__(self, step):
    with self.changed:
      self.asked.add(step)
      self.changed.notify_all()
      assert self.changed.wait_for(lambda: step in self.allowed, 10)
      self.made.append(step)
      self.changed.notify_all()
    return step

  def allow(self, *steps):
    with self.changed:
      self.allowed |= set(steps)
      self.changed.notify_all()

  def wait_for(self, condition):
    with self.changed:
      assert self.changed.wait_for(condition, 10)


@SEVERAL
def test_every_step_in_order(workers):
  fed = feed.ahead(lambda step: step * 10, 3, 9, place=lambda b: b + 1,
                   workers=workers)
  assert list(fed) == [(i, 10 * i + 1) for i in range(3, 9)]
  assert not feeding()


def test_no_steps():
  assert not list(feed.ahead(None, 7, 7)) and not feeding()


def test_the_stream_does_not_depend_on_the_number_of_workers():
  def batches(step):
    draw = np.random.default_rng(step)
    time.sleep(draw.uniform(0, 2e-3))  # Some take longer than others.
    return {'inputs': draw.integers(0, 99, (4, 8)),
            'weights': draw.normal(size=(4, 8)).astype(np.float32)}

  def stream(workers):
    return [(step, batch['inputs'].tobytes() + batch['weights'].tobytes())
            for step, batch in feed.ahead(
                batches, 5, 45, jax.device_get, workers=workers)]

  alone = stream(1)
  assert [step for step, _ in alone] == list(range(5, 45))
  assert stream(2) == alone and stream(7) == alone


def test_order_is_kept_though_a_later_batch_is_made_first():
  gate, placed = Gate(), []
  stream = feed.ahead(gate, 0, 4, placed.append, workers=4)
  taken = []
  consumer = threading.Thread(target=lambda: taken.extend(stream))
  consumer.start()
  gate.wait_for(lambda: len(gate.asked) == 4)  # All at the same time.
  for step in 3, 1, 2:
    gate.allow(step)
    gate.wait_for(lambda: len(gate.made) == len(gate.allowed))
  assert not placed and not taken
  gate.allow(0)
  consumer.join(10)
  assert placed == [0, 1, 2, 3] and [step for step, _ in taken] == placed


@SEVERAL
def test_places_one_at_a_time(workers):
  placing, most = [], []

  def place(batch):
    placing.append(batch)
    most.append(len(placing))
    time.sleep(1e-3)
    placing.remove(batch)
    return batch

  list(feed.ahead(lambda step: step, 0, 20, place, workers=workers))
  assert set(most) == {1}


def test_runs_ahead_by_a_limited_number_of_batches():
  made, two_more = [], threading.Event()

  def batches(step):
    made.append(step)
    if len(made) == 4:
      two_more.set()
    return step

  stream = feed.ahead(batches, 0, 100, size=2)
  next(stream)
  assert two_more.wait(5)  # One taken, two waiting, one in hand.
  stream.close()
  assert len(made) == 4


def test_each_worker_holds_one_more_batch():
  gate, placed = Gate(), []
  gate.allow(*range(100))
  stream = feed.ahead(gate, 0, 100, placed.append, size=3, workers=4)
  next(stream)
  gate.wait_for(lambda: len(gate.made) == 1 + 3 + 4)
  time.sleep(0.05)
  assert len(gate.made) == 8 and placed == [0, 1, 2, 3]
  stream.close()
  assert len(gate.made) == 8 and not feeding()


@SEVERAL
def test_errors_are_raised_at_their_step(workers):
  def batches(step):
    if step == 2:
      raise KeyError('shard 7')
    time.sleep(2e-3 * (step < 2))  # The error is there before its turn.
    return step

  stream = feed.ahead(batches, 0, 50, workers=workers)
  assert [next(stream), next(stream)] == [(0, 0), (1, 1)]
  with pytest.raises(KeyError, match='shard 7'):
    next(stream)
  assert not feeding()


@SEVERAL
def test_an_error_ends_the_workers(workers):
  made, placed = [], []

  def batches(step):
    made.append(step)
    return {}[step] if step == 2 else step

  stream = feed.ahead(batches, 0, 50, placed.append, workers=workers)
  next(stream), next(stream)
  until = time.monotonic() + 10
  while len(made) < 2 + workers and time.monotonic() < until:
    time.sleep(0.01)  # Each has made what it can.
  time.sleep(0.03)
  assert sorted(made) == list(range(2 + workers)) and placed == [0, 1]
  with pytest.raises(KeyError):
    next(stream)
  assert len(made) == 2 + workers and placed == [0, 1]


@SEVERAL
@pytest.mark.parametrize('error', [ValueError, SystemExit])
def test_errors_of_placing_are_raised_at_their_step(workers, error):
  def place(batch):
    if batch == 3:
      raise error('no room')
    return batch

  taken = []
  with pytest.raises(error, match='no room'):
    for step, _ in feed.ahead(lambda s: s, 0, 50, place, workers=workers):
      taken.append(step)
  assert taken == [0, 1, 2] and not feeding()


@SEVERAL
def test_closing_ends_the_threads(workers):
  stream = feed.ahead(lambda step: step, 0, 1000, workers=workers)
  next(stream)
  assert len(feeding()) == workers
  stream.close()
  assert not feeding()


def test_closing_does_not_wait_for_ever(monkeypatch):
  monkeypatch.setattr(feed, '_JOIN_S', 0.05)
  gate = Gate()
  gate.allow(0)
  stream = feed.ahead(gate, 0, 9, workers=2)
  next(stream)
  gate.wait_for(lambda: gate.asked >= {1, 2})
  stream.close()
  left = feeding()
  assert left
  gate.allow(*range(9))
  for thread in left:
    thread.join(10)
  assert not feeding() and set(gate.made) <= {0, 1, 2}


def test_no_batch_is_begun_after_closing(monkeypatch):
  monkeypatch.setattr(feed, '_JOIN_S', 0.05)
  placing, go, made = threading.Event(), threading.Event(), []

  def place(batch):
    if batch:
      placing.set()
      assert go.wait(10)

  stream = feed.ahead(lambda step: made.append(step) or step, 0, 9, place)
  next(stream)
  assert placing.wait(10)
  stream.close()
  go.set()
  for thread in feeding():
    thread.join(10)
  assert made == [0, 1]


def test_waiting_takes_no_time():
  gate = Gate()
  stream = feed.ahead(gate, 0, 9, workers=4)
  threading.Timer(0.4, gate.allow, range(9)).start()
  before = time.process_time()
  next(stream)
  time.sleep(0.2)  # Now the workers wait for us.
  assert time.process_time() - before < 0.1
  stream.close()


@pytest.mark.parametrize('which', [0, 1])
def test_a_worker_that_dies_silently_is_reported(monkeypatch, which):
  monkeypatch.setattr(feed, '_LOOK_S', 0.02)
  work, number = feed._Feed.work, iter(range(2))

  def dies(self):
    if next(number) == which:
      self._claim()
    else:
      work(self)

  monkeypatch.setattr(feed._Feed, 'work', dies)
  with pytest.raises(RuntimeError, match='has died before step'):
    list(feed.ahead(lambda step: step, 0, 9, workers=2))
  assert not feeding()


def test_workers_that_have_nothing_left_to_do_are_not_dead(monkeypatch):
  monkeypatch.setattr(feed, '_LOOK_S', 0.01)

  def batches(step):
    time.sleep(0.1 * (step == 2))
    return step

  assert len(list(feed.ahead(batches, 0, 3, workers=3))) == 3


def test_a_failure_to_start_a_thread_is_raised(monkeypatch):
  start, started = threading.Thread.start, []

  def second_fails(thread):
    if started:
      raise RuntimeError("can't start new thread")
    started.append(thread)
    start(thread)

  monkeypatch.setattr(threading.Thread, 'start', second_fails)
  with pytest.raises(RuntimeError, match='start new thread'):
    next(feed.ahead(lambda step: step, 0, 9, workers=2))
  assert not started[0].is_alive()


@pytest.mark.parametrize('wrong', [{'workers': 0}, {'size': 0}])
def test_impossible_numbers_are_refused(wrong):
  with pytest.raises(errors.InputError, match=f'{next(iter(wrong))} is 0'):
    feed.ahead(lambda step: step, 0, 9, **wrong)
