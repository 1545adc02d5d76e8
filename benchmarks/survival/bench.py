"""A bench for faults: runs the real script and checks how the runs end.

A trial is right if the run ends with the state and rows of the uninterrupted
run, bit for bit, or with the documented refusal and exit code. Otherwise it
raises an AssertionError with the difference.
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
PATIENCE_S = 150  # Seconds that a run may take on a busy machine.
FINISHED, FAILED, REFUSED, HUNG, SAVED = 0, 1, 2, 70, 75
_TIMES = ('tokens_per_s', 'mfu')  # These differ between any two runs.


@dataclasses.dataclass(frozen=True)
class Fault:
  """A fault and its trial.

  Attributes:
    name: Name of the fault on the command line.
    fault: Description of the fault.
    answer: Description of the run's response.
    run: `run(bench, rng)` makes a trial and returns its number of faults; it
      raises AssertionError if a result was wrong.
    trials: Number of trials for the table.
  """
  name: str
  fault: str
  answer: str
  run: Callable[['Bench', np.random.Generator], int]
  trials: int = 1


class Bench:
  """A folder of runs, with their text, environment and expected results."""

  def __init__(self, folder: str | os.PathLike[str],
               compilations: str | os.PathLike[str] | None = None):
    """Writes the text to the folder.

    Args:
      folder: The folder for all files; has to exist.
      compilations: The folder of JAX's persistent cache, which all processes
        share, since starting takes most of the time.
    """
    # If a shell started this process in the background, SIGINT is ignored, and
    # the processes started here would inherit that.
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
    logging.set_verbosity(logging.WARNING)  # Orbax logs every action.

  def fresh(self, name: str) -> pathlib.Path:
    """Returns a directory that does not exist yet."""
    return self.folder / f'{next(self._count):03d}-{name}'

  def command(self, workdir: pathlib.Path, *flags: str,
              injected: Sequence[str] = ()) -> list[str]:
    """Returns the command of a run; `flags` replace the usual flags."""
    script = str(ROOT / 'experiments/pretrain.py')
    start = [str(HERE / 'injected.py'), *injected] if injected else []
    usual = (f'--config.data.source.paths={self.text}',
             f'--config.training.steps={STEPS}')
    given = {flag.partition('=')[0] for flag in flags}
    return [
        sys.executable, *start, script, f'--workdir={workdir}',
        f'--config={HERE / "config.py"}',
        *(flag for flag in usual if flag.partition('=')[0] not in given),
        *flags]

  def started(self, workdir: pathlib.Path, *flags: str,
              injected: Sequence[str] = (), **environment: str):
    """Returns the started process of a run; see `commands.started`."""
    return commands.started(
        self.command(workdir, *flags, injected=injected),
        env=self.environment | environment)

  def run(self, workdir: pathlib.Path, *flags: str, code: int = FINISHED,
          says: Sequence[str] = (), injected: Sequence[str] = (),
          **environment: str) -> commands.Ended:
    """Runs the script to its end and checks the exit code and the output.

    Args:
      workdir: The directory of the run.
      *flags: Flags of the script.
      code: The expected exit code.
      says: Texts that the output should contain.
      injected: Faults for `injected.py`.
      **environment: Additional environment variables.

    Raises:
      AssertionError: If the exit code or the output is not as expected.
    """
    with self.started(
        workdir, *flags, injected=injected, **environment) as process:
      return expect(process.wait(PATIENCE_S), code, *says)

  @contextlib.contextmanager
  def gated(self, workdir: pathlib.Path, *steps: int):
    """Starts a run that stops at some steps until it is released.

    Yields:
      The process; `at_gate(step)`, which waits until the run stops at a step;
      and `release(step)`.
    """
    gates = {step: workdir.with_name(f'{workdir.name}-gate-{step}')
             for step in steps}
    for gate in gates.values():
      gate.touch()

    def at_gate(step):  # The row of a step is written in the next step.
      assert process.wait_until(
          lambda: commands.last_step(metrics(workdir)) >= step - 1,
          PATIENCE_S), process.output()[-4000:]
      time.sleep(0.3)  # For actions after the step, such as a save.

    with self.started(workdir, injected=[
        f'hold={step}:{gate}' for step, gate in gates.items()]) as process:
      yield process, at_gate, lambda step: gates[step].unlink()

  def whole(self, *flags: str, injected: Sequence[str] = ()) -> pathlib.Path:
    """Returns an uninterrupted run with these flags, made once."""
    def make():
      workdir = self.fresh('whole')
      self.run(workdir, *flags, injected=injected)
      return workdir
    return self._once(('whole', *flags, *injected), make)

  def half(self) -> pathlib.Path:
    """Returns a copy of a run that was killed at step 30."""
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
    """Raises AssertionError unless a run equals the uninterrupted one."""
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
    with mine[0]:  # A second thread waits for the first.
      if not mine[1]:
        mine[1].append(make())
    return mine[1][0]


def expect(ended: commands.Ended, code: int, *says: str) -> commands.Ended:
  """Raises AssertionError unless exit code and output are as expected."""
  output = ended.output[-6000:]
  assert ended.returncode == code, (
      f'Exit code {ended.returncode} instead of {code}:\n{output}')
  for text in says:
    assert text in ended.output, f'Nothing of {text!r} in:\n{output}'
  assert code == HUNG or 'Traceback' not in ended.output, output
  return ended


def state(workdir: pathlib.Path, step: int | None = None) -> dict[str, Any]:
  """Returns all arrays of a checkpoint, read by Orbax without lmjax."""
  import orbax.checkpoint as ocp
  directory = workdir / 'checkpoints' / str(step or steps(workdir)[-1])
  with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as reader:
    return {item.name: reader.restore(item.absolute())
            for item in sorted(directory.iterdir())
            if (item / '_METADATA').exists()}


def steps(workdir: pathlib.Path) -> list[int]:
  """Returns the saved steps, oldest first."""
  return sorted(int(path.name) for path in (workdir / 'checkpoints').glob('*')
                if path.name.isdigit())


def rows(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the rows of a run, without times."""
  return [{key: value for key, value in row.items() if key not in _TIMES}
          for row in writers.read(workdir / 'metrics.jsonl')]


def metrics(workdir: pathlib.Path) -> pathlib.Path:
  return workdir / 'metrics.jsonl'


def saving(workdir: pathlib.Path, after: int = 0) -> Callable[[], bool]:
  """Returns a function: whether a step above `after` is being written."""
  def now():
    with contextlib.suppress(OSError):
      return any(
          '.saving.' in path.name
          and int(path.name.partition('.')[0]) > after
          for path in (workdir / 'checkpoints').iterdir())
    return False
  return now


@contextlib.contextmanager
def untouched(workdir: pathlib.Path, *but: str) -> Iterator[None]:
  """Raises AssertionError if a file of a run changes inside the block.

  The lock may change.

  Args:
    workdir: The directory of the run.
    *but: Other names that may change, such as 'cache', since changed text is
      tokenized before its digest is compared.
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
