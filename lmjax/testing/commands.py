"""Commands under test: started, watched, signalled, and gone afterwards."""
from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import json
import os
import signal as signal_lib
import subprocess
import threading
import time
from typing import Any

_POLL_S = 0.002
_LAST_WORDS_S = 2.0


@dataclasses.dataclass(frozen=True)
class Ended:
  """How a command ended.

  Attributes:
    returncode: Its exit code; -9 if SIGKILL ended it.
    output: All it printed, both streams.
    seconds: From the last signal, or else from its start, to its end.
  """
  returncode: int
  output: str
  seconds: float


class Running:
  """A command in a process of its own; made by `started`."""

  def __init__(self, process: subprocess.Popen):
    self.pid = process.pid
    self._process, self._printed = process, bytearray()
    self._since = time.monotonic()
    # Through a pipe and not a file, which a full disk would silence.
    self._reader = threading.Thread(target=self._read, daemon=True)
    self._reader.start()

  def _read(self):
    with self._process.stdout as pipe:
      while part := pipe.read1():
        self._printed += part

  def output(self) -> str:
    """Returns what it has printed so far."""
    return self._printed.decode(errors='replace')

  def ended(self) -> bool:
    return self._process.poll() is not None

  def wait_until(self, due: Callable[[], Any], timeout_s: float = 300) -> bool:
    """Waits until `due()` holds; returns False if the command ended first.

    Raises:
      AssertionError: If neither happened in time, with what it printed.
    """
    deadline = time.monotonic() + timeout_s
    while not due():
      if self.ended():
        return False
      if time.monotonic() > deadline:
        raise AssertionError(
            f'Neither due nor ended after {timeout_s:g} s:\n{self.output()}')
      time.sleep(_POLL_S)
    return True

  def send(self, signal: int) -> None:
    """Sends a signal, if there is still somebody to receive it."""
    self._since = time.monotonic()
    self._process.send_signal(signal)

  def wait(self, timeout_s: float = 300) -> Ended:
    """Waits for the end.

    Raises:
      AssertionError: If it does not come in time, with what it printed.
    """
    try:
      code = self._process.wait(timeout_s)
    except subprocess.TimeoutExpired:
      raise AssertionError(
          f'Not ended after {timeout_s:g} s:\n{self.output()}') from None
    seconds = time.monotonic() - self._since
    self._reader.join(_LAST_WORDS_S)  # Its children may go on printing.
    return Ended(code, self.output(), seconds)


@contextlib.contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[Running]:
  """Starts a command; whoever leaves the block leaves no process behind.

  Args:
    command: The program and its arguments.
    **options: Of `subprocess.Popen`, such as `env` or `cwd`.
  """
  process = subprocess.Popen(
      list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, start_new_session=True, **options)
  running = Running(process)
  try:
    yield running
  finally:
    with contextlib.suppress(ProcessLookupError):  # And its children.
      os.killpg(process.pid, signal_lib.SIGKILL)
    process.wait()


def last_step(path: str | os.PathLike[str]) -> int:
  """Returns the 'step' of the last whole line of a JSON lines file, or 0."""
  with contextlib.suppress(OSError), open(path, 'rb') as file:
    file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 16)))
    for line in file.read().split(b'\n')[-2::-1]:  # After the last \n: a part.
      with contextlib.suppress(ValueError, KeyError, TypeError):
        return int(json.loads(line)['step'])
  return 0
