"""Batches made and sent to the device ahead of the step that uses them."""
from collections.abc import Callable, Iterator
import collections
import threading
from typing import Any

from lmjax.core import errors

_LOOK_S = 5.0  # How often a consumer that waits looks at its workers.
_JOIN_S = 10.0  # For workers in the middle of a batch when nobody wants it.


def ahead(
    batches: Callable[[int], Any], start: int, stop: int,
    place: Callable[[Any], Any] = lambda batch: batch, size: int = 2,
    workers: int = 1,
) -> Iterator[tuple[int, Any]]:
  """Yields `(step, place(batches(step)))`, computed in threads.

  The steps come in order, whatever the number of workers, and so does every
  call of `place`, one at a time.

  Args:
    batches: The batch of a step. With several workers it is called for several
      steps at once, so it must be a function of the step alone.
    start: First step.
    stop: One past the last step.
    place: Sends a batch to the device; runs in the threads as well.
    size: How many placed batches may wait; each worker has one more in hand.
    workers: How many threads make batches.

  Raises:
    InputError: If `size` or `workers` is not positive.
    Exception: Whatever `batches` or `place` raised, at the step it concerns.
    RuntimeError: If a worker has died without a word.
  """
  for name, value in ('size', size), ('workers', workers):
    if value < 1:
      raise errors.InputError(f'{name} is {value}; it should be at least 1.')
  return _stream(_Feed(batches, place, range(start, stop), size), workers)


def _stream(feed, workers):
  threads = [threading.Thread(target=feed.work, name='feed', daemon=True)
             for _ in range(workers)]
  try:
    for thread in threads:
      thread.start()
    for step in feed.steps:
      yield step, feed.take(threads)
  finally:
    feed.close()
    for thread in threads:
      if thread.ident is not None:  # It has been started.
        thread.join(_JOIN_S)


class _Feed:
  """What the workers share; everything below is guarded by `_changed`."""

  def __init__(self, batches, place, steps, size):
    self.steps = steps
    self._batches, self._place, self._size = batches, place, size
    self._changed = threading.Condition()
    self._unclaimed = iter(steps)
    self._turn = steps.start  # The step that is to be placed next.
    self._ready = collections.deque()  # Pairs (batch, error), in order.
    self._closed = False
    self._finished = 0  # Workers that have come to their end.

  def work(self):
    """Makes batches and places each when it is its turn, until all are."""
    while (step := self._claim()) is not None and self._supply(step):
      pass
    with self._changed:
      self._finished += 1

  def take(self, threads):
    """Returns the next batch, or raises what it raised."""
    with self._changed:
      while not self._changed.wait_for(lambda: self._ready, _LOOK_S):
        dead = sum(not thread.is_alive() for thread in threads)
        if dead > self._finished:
          raise RuntimeError(
              f'A thread that makes batches has died before step {self._turn}.')
      batch, error = self._ready.popleft()
      self._changed.notify_all()
    if error is not None:
      raise error
    return batch

  def close(self):
    """Sends all workers home."""
    with self._changed:
      self._closed = True
      self._changed.notify_all()

  def _claim(self):
    with self._changed:
      return None if self._closed else next(self._unclaimed, None)

  def _supply(self, step):
    """Returns whether the next step is wanted."""
    batch, error = _attempt(self._batches, step)
    if not self._wait_for_turn(step):
      return False
    if error is None:  # Without the lock: nobody else has this turn.
      batch, error = _attempt(self._place, batch)
    with self._changed:
      self._ready.append((batch, error))
      if error is None:  # After an error it is nobody's turn.
        self._turn += 1
      self._changed.notify_all()
    return error is None

  def _wait_for_turn(self, step):
    """Returns once `step` is to be placed; False if nobody wants it."""
    with self._changed:
      self._changed.wait_for(lambda: self._closed or (
          self._turn == step and len(self._ready) < self._size))
      return not self._closed


def _attempt(function, argument):
  """Returns (value, None) or (None, what was raised)."""
  try:
    return function(argument), None
  except BaseException as error:  # Told in the consumer's thread.
    return None, error
