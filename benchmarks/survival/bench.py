"""Where faults happen: runs of the real script, and what they should end with.

A fault is right if the run ends with the bits of the uninterrupted run (state
and rows), or with the documented refusal and exit code. All else is wrong, and
raises an AssertionError that says what was found.
"""
from collections.abc import Callable, Iterator, Sequence
import contextlib
import dataclasses
import hashlib
import itertools
import os
import pathlib
import shutil
import signal
import sys
import threading
import time
from typing import Any

from absl import logging
import numpy as np

from lmjax.testing import commands
from lmjax.testing import faults
from lmjax.training import writers

ROOT = pathlib.Path(__file__).resolve().parents[2]
HERE = pathlib.Path(__file__).resolve().parent
STEPS = 80
PATIENCE_S = 150  # Seconds that a start may take, on a busy machine.
FINISHED, FAILED, REFUSED, HUNG, SAVED = 0, 1, 2, 70, 75
_TIMES = ('tokens_per_s', 'mfu')  # What no two runs share.


@dataclasses.dataclass(frozen=True)
class Fault:
  """A fault, and how one trial of it goes.

  Attributes:
    name: What it is called on the command line.
    fault: What happens to the run.
    answer: What the run does about it.
    run: `run(bench, rng)` makes a trial and returns how many faults it was;
      raises AssertionError if a result was wrong.
    trials: How many make the table.
  """
  name: str
  fault: str
  answer: str
  run: Callable[['Bench', np.random.Generator], int]
  trials: int = 1


class Bench:
  """A folder of runs and what they share: text, environment, right results."""

  def __init__(self, folder: str | os.PathLike[str],
               compilations: str | os.PathLike[str] | None = None):
    """Makes the text in a new folder.

    Args:
      folder: For everything.
      compilations: JAX's persistent cache, shared by all processes; starting
        takes most of the time.
    """
    # A shell ignores SIGINT in what it starts in the background, and so would
    # the processes started here.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    self.folder = pathlib.Path(folder)
    self.text = self.folder / 'text.txt'
    self.text.write_text('\n\n'.join(
        f'Line {i} of a text that says that {i} is {i % 7}.'
        for i in range(400)))
    self.environment = os.environ | {
        'JAX_PLATFORMS': 'cpu', 'PYTHONUNBUFFERED': '1',
        'JAX_COMPILATION_CACHE_DIR': str(
            compilations or self.folder / 'compilations'),
        'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
        'JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES': '-1'}
    self._count = itertools.count()
    self._made, self._lock = {}, threading.Lock()
    logging.set_verbosity(logging.WARNING)  # Orbax tells all it does.

  def fresh(self, name: str) -> pathlib.Path:
    """Returns a directory that does not exist yet."""
    return self.folder / f'{next(self._count):03d}-{name}'

  def command(self, workdir: pathlib.Path, *flags: str,
              injected: Sequence[str] = ()) -> list[str]:
    """Returns the command of a run; `flags` win over the usual."""
    script = str(ROOT / 'experiments/pretrain.py')
    start = [str(HERE / 'injected.py'), *injected] if injected else []
    usual = (f'--config.data.source.paths={self.text}',
             f'--config.training.steps={STEPS}')
    given = {flag.partition('=')[0] for flag in flags}
    return [  # A flag of paths that is given twice means both.
        sys.executable, *start, script, f'--workdir={workdir}',
        f'--config={HERE / "config.py"}',
        *(flag for flag in usual if flag.partition('=')[0] not in given),
        *flags]

  def started(self, workdir: pathlib.Path, *flags: str,
              injected: Sequence[str] = (), **environment: str):
    """Returns `processes.started` of a run."""
    return commands.started(
        self.command(workdir, *flags, injected=injected),
        env=self.environment | environment)

  def run(self, workdir: pathlib.Path, *flags: str, code: int = FINISHED,
          says: Sequence[str] = (), injected: Sequence[str] = (),
          **environment: str) -> commands.Ended:
    """Runs to the end; raises AssertionError at another end than the right one.

    Args:
      workdir: Of the run.
      *flags: Of the script.
      code: What the exit code should be.
      says: Parts that the output should have.
      injected: Faults of `injected.py`.
      **environment: Variables beside the usual ones.
    """
    with self.started(
        workdir, *flags, injected=injected, **environment) as process:
      return expect(process.wait(PATIENCE_S), code, *says)

  @contextlib.contextmanager
  def gated(self, workdir: pathlib.Path, *steps: int):
    """Starts a run that stands still after some steps until it is let go on.

    Yields:
      The process; `at_gate(step)`, which waits until it stands there; and
      `release(step)`.
    """
    gates = {step: workdir.with_name(f'{workdir.name}-gate-{step}')
             for step in steps}
    for gate in gates.values():
      gate.touch()

    def at_gate(step):  # The row of a step comes with the step after it.
      assert process.wait_until(
          lambda: commands.last_step(metrics(workdir)) >= step - 1,
          PATIENCE_S), process.output()[-4000:]
      time.sleep(0.3)  # For what the step leads to, such as a save.

    with self.started(workdir, injected=[
        f'hold={step}:{gate}' for step, gate in gates.items()]) as process:
      yield process, at_gate, lambda step: gates[step].unlink()

  def whole(self, *flags: str, injected: Sequence[str] = ()) -> pathlib.Path:
    """Returns the run of these flags that nothing else happened to."""
    def make():
      workdir = self.fresh('whole')
      self.run(workdir, *flags, injected=injected)
      return workdir
    return self._once(('whole', *flags, *injected), make)

  def half(self) -> pathlib.Path:
    """Returns a copy of a run that was killed on its way."""
    def make():
      workdir = self.fresh('half')
      faults.kill_at_step(
          self.command(workdir), 30, metrics(workdir), env=self.environment)
      return workdir
    copy = self.fresh('copy')
    shutil.copytree(self._once('half', make), copy)
    return copy

  def same(self, workdir: pathlib.Path, *flags: str,
           injected: Sequence[str] = ()) -> None:
    """Raises unless a run ended as the uninterrupted one of these flags did."""
    whole = self.whole(*flags, injected=injected)
    got, want = rows(workdir), rows(whole)
    for one, other in itertools.zip_longest(got, want):  # NaN equals itself.
      assert repr(one) == repr(other), f'Row {one} instead of {other}.'
    faults.assert_bitwise(state(workdir), state(whole))
    bare = [row for row in want if 'loss' in row and 'batch' not in row]
    assert not bare, f'Row {bare[0]} does not say which batch it saw.'

  def _once(self, key, make):
    with self._lock:
      mine = self._made.setdefault(key, (threading.Lock(), []))
    with mine[0]:  # Whoever comes second waits for the first.
      if not mine[1]:
        mine[1].append(make())
    return mine[1][0]


def expect(ended: commands.Ended, code: int, *says: str) -> commands.Ended:
  """Raises unless a run ended with a code and said some things."""
  output = ended.output[-6000:]
  assert ended.returncode == code, (
      f'Exit code {ended.returncode} instead of {code}:\n{output}')
  for text in says:
    assert text in ended.output, f'Nothing of {text!r} in:\n{output}'
  assert code == HUNG or 'Traceback' not in ended.output, output
  return ended


def state(workdir: pathlib.Path, step: int | None = None) -> dict[str, Any]:
  """Returns all arrays of a checkpoint, read by Orbax alone."""
  import orbax.checkpoint as ocp
  directory = workdir / 'checkpoints' / str(step or steps(workdir)[-1])
  with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
    return {item.name: reader.restore(item.absolute())
            for item in sorted(directory.iterdir())
            if (item / '_METADATA').exists()}


def steps(workdir: pathlib.Path) -> list[int]:
  """Returns the steps that are saved, oldest first."""
  return sorted(int(path.name) for path in (workdir / 'checkpoints').glob('*')
                if path.name.isdigit())


def rows(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the rows of a run but for what the clock decides."""
  return [{key: value for key, value in row.items() if key not in _TIMES}
          for row in writers.read(workdir / 'metrics.jsonl')]


def metrics(workdir: pathlib.Path) -> pathlib.Path:
  return workdir / 'metrics.jsonl'


def saving(workdir: pathlib.Path, after: int = 0) -> Callable[[], bool]:
  """Returns what tells whether a step above `after` is just being written."""
  def now():
    with contextlib.suppress(OSError):
      return any(
          '.orbax-checkpoint-tmp' in path.name
          and int(path.name.partition('.')[0]) > after
          for path in (workdir / 'checkpoints').iterdir())
    return False
  return now


@contextlib.contextmanager
def untouched(workdir: pathlib.Path, *but: str) -> Iterator[None]:
  """Raises if a file of a run, but for the lock, changes within.

  Args:
    workdir: Of the run.
    *but: What else may change, such as 'cache', where text that changed is
      tokenized before anybody can say that it is another.
  """
  def content():
    paths = ((path, path.relative_to(workdir)) for path in workdir.rglob('*'))
    return {str(name): path.is_file() and hashlib.sha256(
        path.read_bytes()).hexdigest() for path, name in paths
            if name.parts[0] not in ('LOCK', *but)}
  before = content()
  yield
  after = content()
  changed = sorted(path for path in before.keys() | after.keys()
                   if before.get(path) != after.get(path))
  assert not changed, f'Changed: {changed}.'
