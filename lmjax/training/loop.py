"""The training loop: trains a state on batches, evaluates and saves."""
from collections.abc import Callable, Mapping, Sequence
import contextlib
import dataclasses
import functools
import time
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
import optax

from lmjax.core import allocator
from lmjax.core import digests
from lmjax.core import errors
from lmjax.parallel import channel
from lmjax.parallel import rows as rows_lib
from lmjax.parallel import strategy as parallel_lib
from lmjax.training import arguments
from lmjax.training import averaging
from lmjax.training import feed
from lmjax.training import guard as guard_lib
from lmjax.training import histograms
from lmjax.training import log as log_lib
from lmjax.training import step as step_lib
from lmjax.training import stopping
from lmjax.training import supervision as supervision_lib
from lmjax.training import throughput
from lmjax.training import trace
from lmjax.training import writers as writers_lib


class Checkpoints(Protocol):
  """A store of states, such as `checkpoints.store.Checkpoints`.

  It is a context manager, whose exit waits until all saves have ended.
  """

  def __enter__(self) -> 'Checkpoints':
    """Opens the store."""

  def __exit__(self, *error: Any) -> None:
    """Waits until all saves have ended."""

  def save(self, step: int, state: step_lib.TrainState,
           progress: stopping.Progress, score: float | None) -> None:
    """Saves a state; `score` is its evaluation's score, or None without one."""


@dataclasses.dataclass(frozen=True)
class FitResult:
  """The result of `fit`.

  Attributes:
    state: The last state, without the copies for several devices.
    best_step: The step with the best held-out metric; None if never evaluated.
    rows: All rows written, each with its 'step'.
    progress: Tokens, best score and patience, as saved in checkpoints.
    stopped_early: Whether early stopping ended the run.
    interrupted: The request that ended the run at a saved step, or None.
  """
  state: step_lib.TrainState
  best_step: int | None
  rows: list[dict[str, float]]
  progress: stopping.Progress
  stopped_early: bool
  interrupted: str | None = None


def fit(
    state: step_lib.TrainState,
    batches: Callable[[int], Mapping[str, np.ndarray]], *,
    objective: step_lib.Objective, optimizer: optax.GradientTransformation,
    steps: int, parallel: str | parallel_lib.Strategy = 'jit',
    microbatches: int = 1, ema_decay: float | None = None,
    average: averaging.NonMonotone | None = None,
    guard: guard_lib.Guard = guard_lib.Guard(),
    evaluate: Callable[[Any, int], dict[str, float]] | None = None,
    eval_every: int | None = None, evaluate_first: bool = False,
    stop: stopping.EarlyStopping = stopping.EarlyStopping(),
    checkpoints: Checkpoints | None = None,
    save_every: int | None = None, save_minutes: float | None = None,
    writers: Sequence[writers_lib.Writer] = (), log_every: int = 10,
    progress: stopping.Progress | None = None,
    learning_rate: optax.Schedule | None = None,
    flops_per_step: float | None = None, unit: str = 'tokens',
    profile: str | None = None, workers: int = 1,
    observer: histograms.Observer | None = None,
    supervision: supervision_lib.Supervision = supervision_lib.Supervision(),
) -> FitResult:
  """Trains from `state.step` until `steps` updates have been made.

  Args:
    state: The state from `step.init_state` or a checkpoint. Its memory is
      donated; use the result's state in its place.
    batches: Function from a step to its batch, called ahead of time in a
      thread. With several processes it returns this process's share of the
      rows, which is the strategy's `share`.
    objective: `objective(params, batch, rng=key)` -> dict of `Mean`; its entry
      'loss' is differentiated.
    optimizer: An optax transformation.
    steps: Total number of updates, including those before a resume.
    parallel: 'jit', 'pmap', 'mesh', or a strategy from `parallel`.
    microbatches: Parts that each device's share of a batch is cut into.
    ema_decay: Decay rate of a moving average of the parameters, which is then
      evaluated in their place; None keeps no average.
    average: Rule that starts an equal average of the parameters, which is then
      evaluated in their place; None keeps no average.
    guard: Decides which steps are bad and skipped, and how many end the run.
    evaluate: `evaluate(params, step)` -> {'valid/loss': ...}.
    eval_every: Steps between evaluations; the last step is always evaluated.
    evaluate_first: Whether to evaluate a new run's state before its first step,
      because its parameters were trained elsewhere.
    stop: The metric that decides the best step, and when to stop early.
    checkpoints: Store for states; the best and the last step are always saved.
    save_every: Steps between saves; None saves at every evaluation.
    save_minutes: Minutes since the last save after which to save as well; None
      saves only by steps.
    writers: Receive every row.
    log_every: Steps between rows.
    progress: The progress from the checkpoint if a run is resumed.
    learning_rate: The schedule; if given, `learning_rate` is logged.
    flops_per_step: FLOPs of a training step; if given, `mfu` is logged.
    unit: What the weight of the loss counts, for the log: 'tokens', 'texts'.
    profile: Directory for a profiler trace of five steps.
    workers: Number of threads that make batches.
    observer: Looks at the state before some steps.
    supervision: Requests to stop, the watchdog, and the log of events.

  Returns:
    A `FitResult`.

  Raises:
    InputError: If an argument is of another type, or two do not fit together.
    log.BadSteps: If too many steps in a row were bad.
    RunError: If devices no longer hold the same state.
  """
  allocator.keep_pages()
  arguments.check(state, batches, objective, optimizer)
  start = int(state.step)
  if ema_decay is not None and state.ema is None:
    raise errors.InputError(
        f'ema_decay is {ema_decay}, but the state keeps no average: pass '
        f'ema=True to init_state.')
  if (average is None) != (state.averaged is None):
    raise errors.InputError(
        f'average is {average}: pass equal={average is not None} to '
        'init_state, which makes room for it.')
  strategy = parallel_lib.strategy(parallel)
  progress = dataclasses.replace(progress or stopping.Progress())
  last = start if progress.exhausted(stop) else steps
  meter = throughput.Meter(strategy.devices, flops_per_step, unit)
  log = log_lib.Log(strategy, meter, progress, writers, learning_rate, guard,
                    supervision.bad_step, supervision.group, unit)
  visits = _Visits(
      strategy, log, progress, stop, average, evaluate, checkpoints,
      supervision, save_minutes)
  eval_every = eval_every or steps
  save_every = save_every or eval_every
  update = strategy.compile(functools.partial(
      step_lib.train_step, objective=objective, optimizer=optimizer,
      ema_decay=ema_decay, guard=guard), microbatches)
  state = strategy.place(state)
  watching, interrupted = supervision.watching, None
  first = evaluate_first and not start and not progress.scores
  agree = channel.lagged(supervision.group, 'stop')

  with contextlib.ExitStack() as stack:
    if checkpoints is not None:
      stack.enter_context(checkpoints)
    tracer = trace.Trace(profile) if profile else None
    if tracer:
      stack.callback(tracer.close)
    stream = stack.enter_context(contextlib.closing(feed.ahead(
        lambda step: arguments.batch(batches(step), step), start, last,
        _digested(strategy), workers=workers)))
    if first:
      state = visits.visit(0, state, evaluates=True, saves=False)
    for step in range(start + 1, last + 1):
      with watching(f'the batch of step {step}'):
        _, (batch_digest, batch) = next(stream)
      if observer is not None and step % observer.every == 0:
        with watching(f'the histograms of step {step}'):
          observer(step, strategy.gather(state))
      if tracer:
        tracer.before_step()
      with watching(f'step {step}'):
        state, metrics = update(state, batch)
        log.flush()
        log.add(step, batch_digest, metrics)
      evaluates = step % eval_every == 0 or step == steps
      saves = step % save_every == 0 or step == steps
      # Interruptions do not end a row, so rows are the same with and without.
      if step % log_every == 0 or evaluates or saves:
        log.cut()
      votes = agree([supervision.requested(), visits.overdue()])
      interrupted = next((name for name, _ in votes if name), None)
      overdue = bool(votes) and votes[0][1]  # By the clock of process 0.
      visits.check_replicas(step, state)
      if evaluates or saves or interrupted or overdue:
        state = visits.visit(
            step, state, evaluates, saves or interrupted or overdue)
      if progress.exhausted(stop) or interrupted:
        break
  return FitResult(
      strategy.gather(state), progress.best_step, log.rows, progress,
      progress.exhausted(stop), interrupted)


def _digested(strategy):
  """Returns a function from a batch to its digest and the batch on devices."""
  def place(batch):
    first = strategy.share[0] * rows_lib.count(batch)
    return digests.batch(batch, first), strategy.shard(batch)
  return place


@dataclasses.dataclass
class _Visits:
  """The evaluations, saves and checks between steps."""
  strategy: parallel_lib.Strategy
  log: log_lib.Log
  progress: stopping.Progress
  stop: stopping.EarlyStopping
  average: averaging.NonMonotone | None
  evaluate: Callable[[Any, int], dict[str, float]] | None
  checkpoints: Checkpoints | None
  supervision: supervision_lib.Supervision
  save_minutes: float | None

  def __post_init__(self):
    self._saved = time.monotonic()

  def overdue(self) -> bool:
    """Returns whether the last save is too long ago; then resets the clock."""
    now = time.monotonic()
    if (self.save_minutes is None
        or now - self._saved <= 60 * self.save_minutes):
      return False
    self._saved = now
    return True

  def check_replicas(self, step: int, state: Any) -> None:
    """Raises RunError if the devices differ at a step that is checked."""
    every = self.supervision.replicas_every
    if every is None or step % every:
      return
    if drifted := self.strategy.drifted(state):
      raise errors.RunError(
          f'After step {step} the devices no longer hold the same state: '
          f'{"; ".join(drifted[:3])}. Start again from the last checkpoint; if '
          'it happens again, a device or the objective is at fault (every '
          'device should compute the same from the summed gradients).')

  def visit(self, step, state, evaluates, saves):
    """Evaluates and saves `state`; the best step is always saved.

    Returns the state to continue with, in which an average may have started.
    """
    self.log.rest()
    score, placed = None, state
    state = self.strategy.gather(state)
    if evaluates and self.evaluate is not None:
      params = state.params if state.ema is None else state.ema
      with self.supervision.watching(f'the evaluation of step {step}'):
        row = self.evaluate(params, step)
      score = self.stop.score(row)
      best = self.progress.update(step, score, self.stop)
      saves = saves or best or self.progress.exhausted(self.stop)
      self.log.write(step, row)
      if self._average_begins(state):
        state = state.replace(averaged=jnp.int32(0))
        placed = self.strategy.place(state)
    if saves and self.checkpoints is not None:
      self.log.store()
      with self.supervision.watching(f'the save of step {step}'):
        self.checkpoints.save(step, state, self.progress, score)
      self._saved = time.monotonic()
    self.log.meter.start()
    return placed

  def _average_begins(self, state):
    return (self.average is not None
            and int(state.averaged) == averaging.WAITING
            and self.average.begins(self.progress.scores))
