"""Batches come in order, and errors come with them."""
import threading

import pytest

from lmjax.training import feed


def test_every_step_in_order():
  fed = feed.ahead(lambda step: step * 10, 3, 9, place=lambda b: b + 1)
  assert list(fed) == [(i, 10 * i + 1) for i in range(3, 9)]


def test_runs_ahead_but_not_away():
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


def test_errors_are_raised_at_their_step():
  def batches(step):
    if step == 2:
      raise KeyError('shard 7')
    return step

  stream = feed.ahead(batches, 0, 5)
  assert [next(stream), next(stream)] == [(0, 0), (1, 1)]
  with pytest.raises(KeyError, match='shard 7'):
    next(stream)


def test_closing_ends_the_thread():
  stream = feed.ahead(lambda step: step, 0, 1000)
  next(stream)
  stream.close()
  assert not [t for t in threading.enumerate() if t.name == 'feed']
