"""Runs commands under test: starts, watches, signals and cleans them up."""
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
    output: Everything it printed to both streams.
    seconds: Time from the last signal, or from its start if it got none, to its
      end.
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
    # Reads from a pipe because a full disk would truncate a file.
    self._reader = threading.Thread(target=self._read, daemon=True)
    self._reader.start()

  def _read(self):
    with self._process.stdout as pipe:
      while part := pipe.read1():
        self._printed += part

  def output(self) -> str:
    """Returns everything that the command has printed so far."""
    return self._printed.decode(errors='replace')

  def ended(self) -> bool:
    return self._process.poll() is not None

  def wait_until(self, due: Callable[[], Any], timeout_s: float = 300) -> bool:
    """Waits until `due()` holds; returns False if the command ended first.

    Raises:
      AssertionError: If neither happened in time; the message has the output.
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
    """Sends a signal, if the process still runs."""
    self._since = time.monotonic()
    self._process.send_signal(signal)

  def wait(self, timeout_s: float = 300) -> Ended:
    """Waits until the command ends.

    Raises:
      AssertionError: If it did not end in time; the message has the output.
    """
    try:
      code = self._process.wait(timeout_s)
    except subprocess.TimeoutExpired:
      raise AssertionError(
          f'Not ended after {timeout_s:g} s:\n{self.output()}') from None
    seconds = time.monotonic() - self._since
    self._reader.join(_LAST_WORDS_S)  # Child processes may still print.
    return Ended(code, self.output(), seconds)


@contextlib.contextmanager
def started(command: Sequence[str], **options: Any) -> Iterator[Running]:
  """Starts a command; at the end of the block kills it and its children.

  Args:
    command: The program and its arguments.
    **options: Arguments of `subprocess.Popen`, such as `env` or `cwd`.
  """
  process = subprocess.Popen(
      list(command), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT, start_new_session=True, **options)
  running = Running(process)
  try:
    yield running
  finally:
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, signal_lib.SIGKILL)  # Child processes as well.
    process.wait()


def last_step(path: str | os.PathLike[str]) -> int:
  """Returns the 'step' of the last complete line of a JSON lines file, or 0."""
  with contextlib.suppress(OSError), open(path, 'rb') as file:
    file.seek(max(0, os.fstat(file.fileno()).st_size - (1 << 16)))
    # The part after the last line break is an incomplete line, or empty.
    for line in file.read().split(b'\n')[-2::-1]:
      with contextlib.suppress(ValueError, KeyError, TypeError):
        return int(json.loads(line)['step'])
  return 0
