"""The training loop: handed a state, a function and batches, it trains."""
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
from lmjax.training import averaging
from lmjax.training import feed
from lmjax.training import guard as guard_lib
from lmjax.training import log as log_lib
from lmjax.training import step as step_lib
from lmjax.training import stopping
from lmjax.training import supervision as supervision_lib
from lmjax.training import throughput
from lmjax.training import trace
from lmjax.training import writers as writers_lib


class Checkpoints(Protocol):
  """Where states are saved, such as `checkpoints.store.Checkpoints`.

  It is a context manager; leaving it waits for what is still being saved.
  """

  def __enter__(self) -> 'Checkpoints':
    """Begins."""

  def __exit__(self, *error: Any) -> None:
    """Waits."""

  def save(self, step: int, state: step_lib.TrainState,
           progress: stopping.Progress, score: float | None) -> None:
    """Saves a state; `score` is that of its evaluation, if there was one."""


@dataclasses.dataclass(frozen=True)
class FitResult:
  """What a run ended with.

  Attributes:
    state: The last state, one copy of it.
    best_step: The step with the best held-out metric; None if never evaluated.
    rows: Every row written, each with its 'step'.
    progress: Tokens, best score and patience, as checkpoints hold them.
    stopped_early: Whether patience ended the run.
    interrupted: The signal that ended it, at a step that was saved, or None.
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
    eval_every: int | None = None,
    stop: stopping.EarlyStopping = stopping.EarlyStopping(),
    checkpoints: Checkpoints | None = None,
    save_every: int | None = None, save_minutes: float | None = None,
    writers: Sequence[writers_lib.Writer] = (), log_every: int = 10,
    progress: stopping.Progress | None = None,
    learning_rate: optax.Schedule | None = None,
    flops_per_token: float | None = None, profile: str | None = None,
    workers: int = 1,
    supervision: supervision_lib.Supervision = supervision_lib.Supervision(),
) -> FitResult:
  """Trains from `state.step` until `steps` updates have been made.

  Args:
    state: From `step.init_state` or a checkpoint. Its memory is reused: the
      result's state replaces it.
    batches: The batch of a step, of which several processes each give the
      strategy's `share`; called ahead of time in a thread.
    objective: `objective(params, batch, rng=key)` -> dict of `Mean`, of which
      'loss' is differentiated.
    optimizer: An optax transformation.
    steps: Updates in all, those before a resume included.
    parallel: 'jit', 'pmap', 'mesh' or a strategy of `parallel`.
    microbatches: Parts that each device's share of a batch is cut into.
    ema_decay: Keeps a moving average, which is then what is evaluated.
    average: When an equal average begins, which is then what is evaluated.
    guard: Which steps are bad, and change nothing, and how many end the run.
    evaluate: `evaluate(params, step)` -> {'valid/loss': ...}.
    eval_every: Steps between evaluations; the last step is always evaluated.
    stop: Which of these numbers says what is best, and when to give up.
    checkpoints: Where to save; the best and the last step always are.
    save_every: Steps between saves; None saves where it evaluates.
    save_minutes: Minutes after which it saves besides; None: by steps alone.
    writers: Given every row.
    log_every: Steps between rows.
    progress: From the checkpoint when a run continues.
    learning_rate: The schedule; with it `learning_rate` is logged.
    flops_per_token: Of a training step; with it `mfu` is logged.
    profile: Directory for a profiler trace of five steps.
    workers: Threads that make batches.
    supervision: What may stop the run, and is told of bad steps.

  Returns:
    A `FitResult`.

  Raises:
    log.BadSteps: If too many steps in a row were bad.
    RunError: If devices no longer hold the same state.
  """
  allocator.keep_pages()
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
  meter = throughput.Meter(strategy.devices, flops_per_token)
  log = log_lib.Log(strategy, meter, progress, writers, learning_rate, guard,
                    supervision.bad_step, supervision.group)
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
  agree = channel.lagged(supervision.group, 'stop')

  with contextlib.ExitStack() as stack:
    if checkpoints is not None:
      stack.enter_context(checkpoints)
    tracer = trace.Trace(profile) if profile else None
    if tracer:
      stack.callback(tracer.close)
    stream = stack.enter_context(contextlib.closing(feed.ahead(
        batches, start, last, _digested(strategy), workers=workers)))
    for step in range(start + 1, last + 1):
      with watching(f'the batch of step {step}'):
        _, (batch_digest, batch) = next(stream)
      if tracer:
        tracer.before_step()
      with watching(f'step {step}'):
        state, metrics = update(state, batch)
        log.flush()
        log.add(step, batch_digest, metrics)
      evaluates = step % eval_every == 0 or step == steps
      saves = step % save_every == 0 or step == steps
      # Rows end where they would without interruptions, so they never differ.
      if step % log_every == 0 or evaluates or saves:
        log.cut()
      votes = agree([supervision.requested(), visits.overdue()])
      interrupted = next((name for name, _ in votes if name), None)
      overdue = bool(votes) and votes[0][1]  # By one clock.
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
  """Returns what sends a batch to the device, and keeps its digest."""
  def place(batch):
    first = strategy.share[0] * rows_lib.count(batch)
    return digests.batch(batch, first), strategy.shard(batch)
  return place


@dataclasses.dataclass
class _Visits:
  """The stops a run makes, to look after its state."""
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
    """Returns whether the last save is too long ago; says so once."""
    now = time.monotonic()
    if (self.save_minutes is None
        or now - self._saved <= 60 * self.save_minutes):
      return False
    self._saved = now
    return True

  def check_replicas(self, step: int, state: Any) -> None:
    """Raises RunError if it is time to look and devices differ."""
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
    """Evaluates and saves `state`; the best step is saved in any case.

    Returns the state to go on with: the average may begin.
    """
    self.log.flush()
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
      self.log.pause()
      with self.supervision.watching(f'the save of step {step}'):
        self.checkpoints.save(step, state, self.progress, score)
      self._saved = time.monotonic()
    self.log.meter.start()
    return placed

  def _average_begins(self, state):
    return (self.average is not None
            and int(state.averaged) == averaging.WAITING
            and self.average.begins(self.progress.scores))
