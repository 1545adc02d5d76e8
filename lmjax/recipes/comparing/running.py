"""Runs the commands of a sweep one after another, each in its own process."""
from collections.abc import Callable, Sequence
import contextlib
import signal
import subprocess
import sys

from lmjax.core import terminal
from lmjax.recipes.comparing import sweep
from lmjax.run import signals

# The signal that a run receives for each signal to the sweep. When its terminal
# is closed, the run is saved as well.
_PASSED = {signal.SIGTERM: signal.SIGTERM, signal.SIGINT: signal.SIGINT,
           signal.SIGHUP: signal.SIGTERM}


def run(points: Sequence[sweep.Point],
        command: Callable[[sweep.Point], Sequence[str]]) -> dict[str, int]:
  """Runs all points that are not finished; returns {name: exit code}.

  A run that fails does not keep the others from being started.

  Args:
    points: The runs.
    command: Function from a run to its command.

  Raises:
    SystemExit: If a signal, or the file STOP, ended a run; with its exit code.
  """
  codes: dict[str, int] = {}
  for number, point in enumerate(points, 1):
    title = terminal.printable(f'=== {number}/{len(points)} {point.name}')
    if point.finished():
      print(f'{title}: finished already', flush=True)
      codes[point.name] = 0
      continue
    print(title, flush=True)
    code, stopped = execute(command(point))
    if stopped or code == signals.EXIT_SAVED:
      print('The sweep ends here; the same command continues it.',
            file=sys.stderr)
      raise SystemExit(code)
    if code:
      print(terminal.printable(
          f'{point.name} failed with exit code {code}; the sweep goes on.'),
            file=sys.stderr)
    codes[point.name] = code
  return codes


def execute(command: Sequence[str]) -> tuple[int, bool]:
  """Runs a command, to which signals that arrive are passed on.

  The command has a process group of its own, so that a Ctrl-C at the terminal
  does not reach it twice, which would end it without saving.

  Returns:
    The exit code, as a shell would give it, and whether a signal arrived.
  """
  arrived: list[int] = []
  child: subprocess.Popen | None = None

  def pass_on(number, frame):
    del frame
    arrived.append(number)
    if child is not None:
      child.send_signal(_PASSED[number])

  with contextlib.ExitStack() as stack:
    for number in _PASSED:
      stack.callback(signal.signal, number, signal.signal(number, pass_on))
    child = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, process_group=0)
    for number in tuple(arrived):  # It may have arrived before the child.
      child.send_signal(_PASSED[number])
    code = child.wait()
  code = 128 - code if code < 0 else code
  return (code or 128 + arrived[0], True) if arrived else (code, False)
