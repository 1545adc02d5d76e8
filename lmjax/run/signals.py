"""Requests to stop a run: SIGTERM, SIGINT or a file named STOP.

While a run trains, the first signal only sets a flag, which the loop reads
between two steps; the second ends the process. Before and after training there
is nothing to save, and SIGTERM ends the process with the same exit code. Python
runs signal handlers in the main thread, between two bytecode instructions, but
the main thread may be compiling for minutes. A separate thread therefore reads
the signals from a descriptor to which the interpreter writes them as they
arrive (`signal.set_wakeup_fd`).
"""
from collections.abc import Iterator
import contextlib
import os
import signal
import socket
import sys
import threading
import time

from lmjax.core import errors
from lmjax.core.files import durable

EXIT_SAVED = 75  # EX_TEMPFAIL of sysexits.h: saved, to be started again.
NAMES = {signal.SIGTERM: 'SIGTERM', signal.SIGINT: 'SIGINT'}
# One request may arrive as two signals: timeout(1) signals its child and then
# its group, and a launcher forwards a Ctrl-C that the terminal sent to both.
SAME_S = 0.25
_FIRST = 'the run is saved at the current step and ends with exit code'
_END_S = 5.0  # The time in which the main thread has to end in an orderly way.
_NOTHING = ('no step is being made, so there is nothing to save; the run ends '
            f'with exit code {EXIT_SAVED}, and the same command continues it.')
_SECOND = 'A second signal ends the process at once, without saving.'
_SECOND_INTERACTIVE = 'A second one interrupts at once, without saving.'

# Of the outermost block, since a process has only one wakeup descriptor.
_receiver = None


class Interrupts:
  """The requests to stop, which a run reads between steps; see `watched`."""

  def __init__(self, receiver: '_Receiver | None', stop_file: str | None):
    self._receiver, self._stop_file = receiver, stop_file

  def requested(self) -> str | None:
    """Returns the request to stop: 'SIGTERM', 'SIGINT', 'STOP', or None."""
    if self._receiver is not None and self._receiver.name is not None:
      return self._receiver.name
    if self._stop_file is not None and os.path.exists(self._stop_file):
      return 'STOP'
    return None

  def obeyed(self) -> None:
    """Removes the STOP file, so that it does not stop the next start."""
    if self._stop_file is None:
      return
    try:
      os.remove(self._stop_file)
      durable.sync(os.path.dirname(os.path.abspath(self._stop_file)))
    except FileNotFoundError:
      pass
    except OSError as error:  # The run is saved, so this is only a message.
      _tell(f'Remove it before the next start: {error}')


@contextlib.contextmanager
def watched(
    stop_file: str | os.PathLike[str] | None = None) -> Iterator[Interrupts]:
  """Makes `Interrupts.requested()` report SIGTERM and SIGINT inside the block.

  The previous handlers are restored when the block ends. A nested `watched`, in
  any thread, reports the signals of the outer one. Outside the main thread and
  not nested, signals keep their previous handlers and only the file is watched.

  Args:
    stop_file: The path of a file whose existence is a request to stop.
  """
  stop_file = None if stop_file is None else os.fspath(stop_file)
  with ending():
    if _receiver is None:
      yield Interrupts(None, stop_file)
      return
    with _receiver.polled():
      yield Interrupts(_receiver, stop_file)


@contextlib.contextmanager
def ending() -> Iterator[None]:
  """Makes SIGTERM end the process with exit code 75 inside the block.

  Inside a nested `watched`, it is a request to stop instead. A handler of the
  user's own keeps its meaning, and SIGINT raises KeyboardInterrupt, as it does
  elsewhere. Outside the main thread, nothing is changed.

  Raises:
    Stopped: At SIGTERM. If the main thread does not run Python code then, the
      process ends after a few seconds without cleanup.
  """
  global _receiver
  if _receiver is not None or not _in_main_thread():
    yield
    return
  receiver = _receiver = _Receiver()
  try:
    with receiver:
      yield
  finally:
    _receiver = None


class _Receiver:
  """Owns the signal handlers and the thread that reads arriving signals.

  Attributes:
    name: The name of the first signal that arrived while signals were polled,
      or None.
  """

  def __init__(self):
    self.name = None
    self._before = {number: signal.getsignal(number) for number in NAMES}
    self._polls = 0  # The number of open `watched` blocks.
    self._end = None  # The timer that ends the process.
    self._first_s = None
    self._handled = False
    self._interactive = hasattr(sys, 'ps1')  # The session outlives the run.
    self._telling = None

  def __enter__(self):
    self._read, self._write = socket.socketpair()
    self._write.setblocking(False)
    self._thread = threading.Thread(
        target=self._listen, name='signals', daemon=True)
    self._thread.start()
    self._before_fd = signal.set_wakeup_fd(
        self._write.fileno(), warn_on_full_buffer=False)
    # Installed even if the signal is ignored, as a shell arranges for SIGINT in
    # background processes: a user who sends it wants the run to stop.
    for number in NAMES:
      signal.signal(number, self._handle)
    return self

  def __exit__(self, *unused):
    self.restore()
    self._write.setblocking(True)
    self._write.send(b'\0')  # Not a signal: ends the thread.
    self._thread.join()
    if self._telling is not None:
      self._telling.join(timeout=1.0)
    self._read.close()
    self._write.close()

  @contextlib.contextmanager
  def polled(self):
    """Makes signals set `name` inside the block, instead of ending it."""
    self._polls += 1
    if self._end is not None:  # The signal arrived just before.
      self._end.cancel()
    try:
      yield
    finally:
      self._polls -= 1

  def restore(self):
    """Restores the previous handlers; a forked child does this as well."""
    for number, handler in self._before.items():  # None: not set by Python.
      signal.signal(number, signal.SIG_DFL if handler is None else handler)
    signal.set_wakeup_fd(self._before_fd)

  def _handle(self, number, frame):
    """Handles a signal in the main thread, once that runs Python again."""
    if self._handled and self._interactive and number == signal.SIGINT:
      signal.default_int_handler(number, frame)
    self._handled = True
    if self._polls:
      self.name = self.name or NAMES[number]
    elif callable(self._before[number]):
      self._before[number](number, frame)
    elif number == signal.SIGINT:
      signal.default_int_handler(number, frame)
    else:
      raise errors.Stopped(
          f'{NAMES[number]}: {_NOTHING}', EXIT_SAVED, number)

  def _listen(self):
    """Reads signals in the separate thread, even if the main thread is busy."""
    while True:
      for number in self._read.recv(4096):
        if number == 0:
          return
        if number in NAMES:
          self._arrived(number)
        elif self._before_fd != -1:  # Forwards other signals, as for asyncio.
          with contextlib.suppress(OSError):
            os.write(self._before_fd, bytes([number]))

  def _arrived(self, number):
    now = time.monotonic()
    if self._first_s is None:
      self._first_s = now
      if self._polls or self.name:  # The handler may have been faster.
        self.name = self.name or NAMES[number]
        second = _SECOND_INTERACTIVE if self._interactive else _SECOND
        self._tell(f'{NAMES[number]}: {_FIRST} {EXIT_SAVED}. {second}')
      elif number == signal.SIGTERM and not callable(self._before[number]):
        self._tell(f'{NAMES[number]}: {_NOTHING}')
        if not self._interactive:
          self._end = threading.Timer(_END_S, os._exit, [EXIT_SAVED])
          self._end.daemon = True
          self._end.start()
    elif now - self._first_s > SAME_S:
      if not (self._interactive and number == signal.SIGINT):
        os._exit(128 + number)

  def _tell(self, text):
    # Printed in a thread, since a terminal that does not read would block.
    self._telling = threading.Thread(target=_tell, args=(text,), daemon=True)
    self._telling.start()


def _in_main_thread():
  return threading.current_thread() is threading.main_thread()


def _tell(text):
  print(text, file=sys.stderr, flush=True)


def _forget_in_child():
  """Restores handlers in a forked child, which must not wake the parent."""
  global _receiver
  if _receiver is not None:
    _receiver.restore()
    signal.set_wakeup_fd(-1)
    _receiver = None


os.register_at_fork(after_in_child=_forget_in_child)
