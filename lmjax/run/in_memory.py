"""A start of a run that keeps everything in memory, and has no directory."""
from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import math
import signal
import sys
import threading
from typing import Any

import jax
import numpy as np

from lmjax.parallel import strategy as strategy_lib
from lmjax.run import launch as launching
from lmjax.run import opening
from lmjax.training import loop
from lmjax.training import notebook
from lmjax.training import step as step_lib
from lmjax.training import stopping


@dataclasses.dataclass
class Memory:
  """The rows and the best checkpoint of a run, in place of its directory.

  It is the store of checkpoints, which keeps the parameters of the best one,
  and a writer, which keeps all rows.

  Attributes:
    rows: All rows of metrics, each with its 'step'.
    step: The step of the best checkpoint; the newest one without scores.
    params: Its parameters, averaged if the run keeps an average.
  """
  rows: list[dict[str, Any]] = dataclasses.field(default_factory=list)
  step: int = 0
  params: Any = None
  _score: float = math.inf

  def __enter__(self) -> 'Memory':
    return self

  def __exit__(self, *error: Any) -> None:
    pass

  def save(self, step: int, state: step_lib.TrainState,
           progress: stopping.Progress, score: float | None) -> None:
    """Keeps the parameters of a state if its score is the best so far."""
    del progress
    score = math.inf if score is None or not math.isfinite(score) else score
    if score <= self._score:  # Of equal scores the newest is the best.
      self._score, self.step = score, step
      self.params = jax.tree.map(  # The next step reuses the memory.
          np.array, state.params if state.ema is None else state.ema)

  def write(self, step: int, row: Mapping[str, Any]) -> None:
    """Keeps a row."""
    self.rows.append({'step': step, **row})

  def close(self) -> None:
    """Does nothing; the rows stay."""


class Launch(launching.Launch):
  """Options of a start in memory."""

  @contextlib.contextmanager
  def started(self, workdir: str, config: Any) -> Iterator['Started']:
    """Yields a start without a lock; nothing is written to `workdir`."""
    yield Started(self, workdir, config, None)


class Started(launching.Started):
  """A run in memory."""

  def open_run(self, hashes: Mapping[str, str], tokenizer: Any = None,
               save: Any = None) -> Memory:
    """Returns the memory of a new run."""
    del hashes, tokenizer, save
    return Memory()

  @contextlib.contextmanager
  def keeping(self, run: Memory, state: step_lib.TrainState,
              pipeline: Mapping[str, Any], parallel: strategy_lib.Strategy
              ) -> Iterator[launching.Kept]:
    """Keeps rows and parameters in `run`, and shows a bar."""
    del pipeline
    print(opening.describe(state, parallel, self.config), flush=True)
    with interruptible() as interrupts, contextlib.closing(
        notebook.display(self.config.training.steps)) as bar:
      yield launching.Kept(
          state, None, run, (run, bar), None, interrupts,
          lambda what: contextlib.nullcontext(), lambda step: step)

  def best(self, run: Memory, fitted: loop.FitResult, kept: launching.Kept
           ) -> tuple[int, Any]:
    """Returns the step and the parameters of the best checkpoint so far."""
    del fitted, kept
    return run.step, run.params


class Interrupts:
  """Whether the user has interrupted the run; see `interruptible`."""

  def __init__(self):
    self._name = None

  def requested(self) -> str | None:
    """Returns 'SIGINT' after an interrupt, or None."""
    return self._name

  def handle(self, number: int, frame: Any) -> None:
    """Notes the first interrupt; the second raises KeyboardInterrupt."""
    if self._name:
      signal.default_int_handler(number, frame)
    self._name = 'SIGINT'
    print('Interrupted: training ends after this step, and the run is returned '
          'as it is then. Interrupt again to raise KeyboardInterrupt.',
          file=sys.stderr)


@contextlib.contextmanager
def interruptible() -> Iterator[Interrupts]:
  """Makes Ctrl-C, or a kernel's interrupt, a request to end the training.

  Outside the main thread, where Python delivers no signals, nothing is changed.
  """
  interrupts = Interrupts()
  if threading.current_thread() is not threading.main_thread():
    yield interrupts
    return
  before = signal.signal(signal.SIGINT, interrupts.handle)
  try:
    yield interrupts
  finally:
    signal.signal(signal.SIGINT, before)
