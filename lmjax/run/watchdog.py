"""A watchdog that ends a run that hangs and prints its stacks."""
from collections.abc import Iterator
import contextlib
import faulthandler
import itertools
import os
import threading
import time

from lmjax.core import errors

EXIT_HUNG = 70  # EX_SOFTWARE of sysexits.h.
_STOPPED_S = 1.0  # A longer delay in waking up means the process was stopped.
_TELL_S = 10.0  # The time in which the stacks have to be written.


class Watchdog:
  """Ends the process when a watched piece of work takes too long.

  It is a context manager and active inside its block. It ends the process with
  `os._exit(EXIT_HUNG)`, without cleanup, because a thread that hangs cannot
  clean up. Time in which the whole process is stopped (Ctrl-Z, kill -STOP) does
  not count.

  The watchdog runs in a thread and needs the GIL: it does not notice a call
  into C that never releases the GIL.

  Example:
    with watchdog.Watchdog(3600.0) as dog:
      with dog.watching('evaluation at step 500'):
        evaluate()
  """

  def __init__(self, seconds: float | None):
    """Initializes.

    Args:
      seconds: Time limit for watched work; None means no limit.
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
    """Watches the work in the block; may be nested and used in any thread.

    Args:
      what: The name of the work in the message, such as 'step 500'.
    """
    number = next(self._number)
    self._watched[number] = time.monotonic() - self._stopped_s, what
    try:
      yield
    finally:
      del self._watched[number]

  def _run(self):
    # A new watch does not wake this thread, because a watch that begins while
    # it sleeps cannot expire within the next `seconds`.
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
        self._stopped_s += slept  # The part it was stopped for is unknown.

  def _sentence(self, whats):
    """Returns the message, with watches from the outermost to the innermost."""
    return (f'The watchdog ended this run: {" > ".join(whats)} has lasted '
            f'longer than {self._seconds:g} s (--watchdog_s). The stacks of '
            f'all threads follow; start the run again to continue from its '
            f'last checkpoint.')


def _end(sentence):
  """Prints the stacks and exits.

  It does not write to sys.stderr, since a hanging thread may hold its lock.
  """
  def tell():
    os.write(2, f'{sentence}\n'.encode())
    faulthandler.dump_traceback(file=2, all_threads=True)

  teller = threading.Thread(target=tell, name='watchdog', daemon=True)
  teller.start()
  teller.join(_TELL_S)  # The process ends even if the output is not read.
  os._exit(EXIT_HUNG)
