"""Ends a run that hangs, with the stacks that say where."""
from collections.abc import Iterator
import contextlib
import faulthandler
import itertools
import os
import threading
import time

from lmjax.core import errors

EXIT_HUNG = 70  # EX_SOFTWARE of sysexits.h.
_STOPPED_S = 1.0  # Waking up this late, the process was stopped meanwhile.
_TELL_S = 10.0  # For a terminal to take the stacks.


class Watchdog:
  """Ends the process when something that is being watched takes too long.

  A context manager: it watches between `with` and its end. The process ends at
  once, by `os._exit(EXIT_HUNG)`: what hangs cannot be asked to clean up. Time
  in which the whole process was stopped (Ctrl-Z, kill -STOP) does not count.

  It runs in a thread, and so depends on the interpreter's lock: a call into C
  that never gives the lock back is not noticed.

  Example:
    with watchdog.Watchdog(3600.0) as dog:
      with dog.watching('evaluation at step 500'):
        evaluate()
  """

  def __init__(self, seconds: float | None):
    """Initializes.

    Args:
      seconds: What is watched may last that long; None never ends anything.
    """
    if seconds is not None and not seconds > 0:
      raise errors.InputError(
          f'watchdog_s is {seconds}; it should be a positive number of '
          f'seconds, or None to never end a run that hangs.')
    self._seconds = seconds
    self._watched = {}  # Number -> (when it began, what it is).
    self._number = itertools.count()
    self._stopped_s = 0.0
    self._closed = threading.Event()
    self._thread = None

  def __enter__(self) -> 'Watchdog':
    if self._seconds is not None:
      self._closed.clear()
      self._thread = threading.Thread(
          target=self._run, name='watchdog', daemon=True)
      self._thread.start()
    return self

  def __exit__(self, *unused):
    self._closed.set()
    if self._thread is not None:
      self._thread.join()

  @contextlib.contextmanager
  def watching(self, what: str) -> Iterator[None]:
    """Watches what is done inside; may be nested, and used in any thread.

    Args:
      what: Names it in the message, such as 'step 500'.
    """
    number = next(self._number)
    self._watched[number] = time.monotonic() - self._stopped_s, what
    try:
      yield
    finally:
      del self._watched[number]

  def _run(self):
    # Nothing tells this thread that a watch begins: whatever begins while it
    # sleeps cannot be due before `seconds` from now.
    while True:
      now = time.monotonic()
      watched = self._watched.copy()
      begun = [start + self._stopped_s for start, _ in watched.values()]
      sleep = min(begun, default=now) + self._seconds - now
      if sleep <= 0 and watched.keys() & self._watched.keys():
        _end(self._sentence(what for _, what in watched.values()))
      if self._closed.wait(min(max(sleep, 0.0), threading.TIMEOUT_MAX)):
        return
      slept = time.monotonic() - now
      if slept > sleep + _STOPPED_S:
        self._stopped_s += slept  # A part of it at least; nobody knows which.

  def _sentence(self, whats):
    """... says what hangs, from the outermost to the innermost."""
    return (f'The watchdog ended this run: {" > ".join(whats)} has lasted '
            f'longer than {self._seconds:g} s (--watchdog_s). The stacks of '
            f'all threads follow; start it again to go on from the last '
            f'checkpoint.')


def _end(sentence):
  """Writes to the descriptor itself: a hanging thread may own sys.stderr."""
  def tell():
    os.write(2, f'{sentence}\n'.encode())
    faulthandler.dump_traceback(file=2, all_threads=True)

  teller = threading.Thread(target=tell, name='watchdog', daemon=True)
  teller.start()
  teller.join(_TELL_S)  # Ends the process even if nobody reads.
  os._exit(EXIT_HUNG)
