"""Times contestants in turns, each in a process of its own.

Noise on a shared machine drifts over seconds and minutes, so contestants take
turns (A B A B ...) and are compared round by round. Where other jobs hold the
cores, wall time says little; with one thread, processor time still does. A
contestant is a process that compiles and warms up, says that it is ready, and
then works on request.
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
  """The contestant's side: times `work(count)` whenever asked, until told off.

  Args:
    work: Does `count` units of work and waits for their end.
    **facts: Told to the other side once the work is warm.
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
    with _on(cores):  # Which the process inherits, and XLA counts.
      self._process = subprocess.Popen(
          command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
          env=os.environ | {
              'OMP_NUM_THREADS': count, 'MKL_NUM_THREADS': count})
    self.facts = self._read()

  def _read(self):
    for line in self._process.stdout:
      with contextlib.suppress(json.JSONDecodeError):  # Libraries chat.
        return json.loads(line)
    raise RuntimeError(f'Contestant {self.name} ended; see its message above.')

  def seconds(self, count: int) -> tuple[float, float]:
    """Returns the wall and processor seconds that a unit of work takes."""
    self._process.stdin.write(f'{count}\n')
    self._process.stdin.flush()
    return tuple(self._read())

  def close(self) -> None:
    self._process.stdin.close()
    self._process.wait()


def race(contestants: Sequence[Contestant], rounds: int, count: int,
         lock: str = '') -> dict[str, list[tuple[float, float]]]:
  """Returns each contestant's (wall, processor) seconds a unit, by round.

  Args:
    contestants: Whom to run.
    rounds: How often each takes its turn.
    count: Units of work in a turn.
    lock: If given, a file locked during a round, so that other jobs which
      respect it do not disturb the measurement.
  """
  seconds = {c.name: [] for c in contestants}
  for _ in range(rounds):
    with _held(lock):
      for contestant in contestants:
        seconds[contestant.name].append(contestant.seconds(count))
  return seconds


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> float:
  """Returns the median over rounds of the quotient within a round."""
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
