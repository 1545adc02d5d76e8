"""Prefetching: batches are made and sent to the device before they are used."""
from collections.abc import Callable, Iterator
import collections
import threading
from typing import Any

from lmjax.core import errors

_LOOK_S = 5.0  # The interval at which a waiting consumer checks its workers.
_JOIN_S = 10.0  # The time for workers to finish their batch when closing.


def ahead(
    batches: Callable[[int], Any], start: int, stop: int,
    place: Callable[[Any], Any] = lambda batch: batch, size: int = 2,
    workers: int = 1,
) -> Iterator[tuple[int, Any]]:
  """Yields `(step, place(batches(step)))`, computed in threads.

  Steps are yielded in order for any number of workers. `place` is also called
  in order, for one batch at a time.

  Args:
    batches: Function from a step to its batch. Several workers call it
      concurrently, so its result may depend only on the step.
    start: First step.
    stop: One past the last step.
    place: Function that sends a batch to the device; runs in the threads too.
    size: The number of placed batches that may wait to be used; each worker
      holds one more.
    workers: The number of threads that make batches.

  Raises:
    InputError: If `size` or `workers` is not positive.
    Exception: An exception of `batches` or `place`, raised at its step.
    RuntimeError: If a worker has died without an exception.
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
  """The state that workers share, guarded by `_changed`."""

  def __init__(self, batches, place, steps, size):
    self.steps = steps
    self._batches, self._place, self._size = batches, place, size
    self._changed = threading.Condition()
    self._unclaimed = iter(steps)
    self._turn = steps.start  # The step that will be placed next.
    self._ready = collections.deque()  # Pairs (batch, error), in order.
    self._closed = False
    self._finished = 0  # The number of workers that ended normally.

  def work(self):
    """Makes batches and places each in its turn, until no step is left."""
    while (step := self._claim()) is not None and self._supply(step):
      pass
    with self._changed:
      self._finished += 1

  def take(self, threads):
    """Returns the next batch, or raises its exception."""
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
    """Makes all workers end."""
    with self._changed:
      self._closed = True
      self._changed.notify_all()

  def _claim(self):
    with self._changed:
      return None if self._closed else next(self._unclaimed, None)

  def _supply(self, step):
    """Makes and places the batch of a step; returns whether to continue."""
    batch, error = _attempt(self._batches, step)
    if not self._wait_for_turn(step):
      return False
    if error is None:  # No lock is needed: only this worker has the turn.
      batch, error = _attempt(self._place, batch)
    with self._changed:
      self._ready.append((batch, error))
      if error is None:  # After an error no worker gets another turn.
        self._turn += 1
      self._changed.notify_all()
    return error is None

  def _wait_for_turn(self, step):
    """Waits for the turn of `step`; returns False if the feed is closed."""
    with self._changed:
      self._changed.wait_for(lambda: self._closed or (
          self._turn == step and len(self._ready) < self._size))
      return not self._closed


def _attempt(function, argument):
  """Returns (value, None), or (None, exception) if the call raises."""
  try:
    return function(argument), None
  except BaseException as error:  # Raised again in the consumer's thread.
    return None, error
