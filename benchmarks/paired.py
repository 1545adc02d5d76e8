"""Times contestants in turns, each in its own process.

Noise on a shared machine drifts over seconds and minutes, so contestants take
turns (A B A B ...) and are compared round by round. If other jobs occupy the
cores, wall time is not reliable, but the processor time of one thread is. A
contestant is a process that compiles and warms up, reports that it is ready,
and then works on request.
"""
from collections.abc import Callable, Sequence
import contextlib
import fcntl
import json
import os
import statistics
import subprocess
import sys
import time


def serve(work: Callable[[int], None], **facts) -> None:
  """Runs in a contestant: times `work(count)` on request until stdin closes.

  Args:
    work: Function that does `count` units of work and waits for their end.
    **facts: Facts that are sent to the other side after the warm-up.
  """
  work(2)
  print(json.dumps(facts), flush=True)
  for line in sys.stdin:
    count = int(line)
    wall, processor = time.perf_counter(), time.process_time()
    work(count)
    wall = time.perf_counter() - wall
    processor = time.process_time() - processor
    print(json.dumps((wall / count, processor / count)), flush=True)


class Contestant:
  """A process that runs `serve`."""

  def __init__(self, name: str, command: Sequence[str], threads: int):
    count = str(threads)
    cores = sorted(os.sched_getaffinity(0))[:threads]
    self.name = name
    with _on(cores):  # The process inherits these cores, and XLA counts them.
      self._process = subprocess.Popen(
          command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
          env=os.environ | {
              'OMP_NUM_THREADS': count, 'MKL_NUM_THREADS': count})
    self.facts = self._read()

  def _read(self):
    for line in self._process.stdout:
      with contextlib.suppress(json.JSONDecodeError):  # Output of libraries.
        return json.loads(line)
    raise RuntimeError(f'Contestant {self.name} ended; see its message above.')

  def seconds(self, count: int) -> tuple[float, float]:
    """Returns the wall and processor seconds per unit of work."""
    self._process.stdin.write(f'{count}\n')
    self._process.stdin.flush()
    return tuple(self._read())

  def close(self) -> None:
    self._process.stdin.close()
    self._process.wait()


def race(contestants: Sequence[Contestant], rounds: int, count: int,
         lock: str = '') -> dict[str, list[tuple[float, float]]]:
  """Returns each contestant's (wall, processor) seconds per unit, by round.

  Args:
    contestants: The contestants.
    rounds: The number of turns of each contestant.
    count: The units of work per turn.
    lock: If given, a file to lock during a round, so that other jobs that use
      it do not disturb the measurement.
  """
  seconds = {c.name: [] for c in contestants}
  for _ in range(rounds):
    with _held(lock):
      for contestant in contestants:
        seconds[contestant.name].append(contestant.seconds(count))
  return seconds


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
  """Returns the median over rounds of the ratio within a round."""
  return statistics.median(a / b for a, b in zip(numerator, denominator))


@contextlib.contextmanager
def _on(cores):
  before = os.sched_getaffinity(0)
  os.sched_setaffinity(0, cores)
  yield
  os.sched_setaffinity(0, before)


@contextlib.contextmanager
def _held(path):
  if not path:
    yield
    return
  with open(path, 'a') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    yield
