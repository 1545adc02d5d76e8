"""Batches made and sent to the device ahead of the step that uses them."""
from collections.abc import Callable, Iterator
import queue
import threading
from typing import Any


def ahead(
    batches: Callable[[int], Any], start: int, stop: int,
    place: Callable[[Any], Any] = lambda batch: batch, size: int = 2,
) -> Iterator[tuple[int, Any]]:
  """Yields `(step, place(batches(step)))`, computed in a thread.

  Args:
    batches: The batch of a step.
    start: First step.
    stop: One past the last step.
    place: Sends a batch to the device; runs in the thread as well.
    size: How many batches may wait.

  Raises:
    Exception: Whatever `batches` or `place` raised, at the step it concerns.
  """
  ready = queue.Queue(maxsize=size)
  closed = threading.Event()

  def put(item) -> bool:
    while not closed.is_set():
      try:
        ready.put(item, timeout=0.1)
        return True
      except queue.Full:  # Looks again whether anybody still listens.
        continue
    return False

  def produce():
    for step in range(start, stop):
      try:
        item = step, place(batches(step)), None
      except BaseException as error:  # Told in the consumer's thread.
        put((step, None, error))
        return
      if not put(item):
        return

  thread = threading.Thread(target=produce, name='feed', daemon=True)
  thread.start()
  try:
    for _ in range(start, stop):
      step, batch, error = ready.get()
      if error is not None:
        raise error
      yield step, batch
  finally:
    closed.set()
    thread.join()
