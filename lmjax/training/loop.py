"""The training loop: handed a state, a function and batches, it trains."""
from collections.abc import Callable, Mapping, Sequence
import contextlib
import dataclasses
import functools
from typing import Any

import jax.numpy as jnp
import numpy as np
import optax

from lmjax.core import allocator
from lmjax.core import errors
from lmjax.training import averaging
from lmjax.training import checkpoints as checkpoints_lib
from lmjax.training import feed
from lmjax.training import log as log_lib
from lmjax.training import parallel as parallel_lib
from lmjax.training import step as step_lib
from lmjax.training import stopping
from lmjax.training import throughput
from lmjax.training import trace
from lmjax.training import writers as writers_lib


@dataclasses.dataclass(frozen=True)
class FitResult:
  """What a run ended with.

  Attributes:
    state: The last state, one copy of it.
    best_step: The step with the best held-out metric; None if never evaluated.
    rows: Every row written, each with its 'step'.
    progress: Tokens, best score and patience, as checkpoints hold them.
    stopped_early: Whether patience ended the run.
  """
  state: step_lib.TrainState
  best_step: int | None
  rows: list[dict[str, float]]
  progress: stopping.Progress
  stopped_early: bool


def fit(
    state: step_lib.TrainState,
    batches: Callable[[int], Mapping[str, np.ndarray]], *,
    objective: step_lib.Objective, optimizer: optax.GradientTransformation,
    steps: int, parallel: str | parallel_lib.Strategy = 'jit',
    microbatches: int = 1, ema_decay: float | None = None,
    average: averaging.NonMonotone | None = None,
    evaluate: Callable[[Any, int], dict[str, float]] | None = None,
    eval_every: int | None = None,
    stop: stopping.EarlyStopping = stopping.EarlyStopping(),
    checkpoints: checkpoints_lib.Checkpoints | None = None,
    save_every: int | None = None,
    writers: Sequence[writers_lib.Writer] = (), log_every: int = 10,
    progress: stopping.Progress | None = None,
    learning_rate: optax.Schedule | None = None,
    flops_per_token: float | None = None, profile: str | None = None,
) -> FitResult:
  """Trains from `state.step` until `steps` updates have been made.

  Args:
    state: From `step.init_state` or a checkpoint. Its memory is reused: the
      result's state replaces it.
    batches: The global batch of a step; called ahead of time in a thread.
    objective: `objective(params, batch, rng=key)` -> dict of `Mean`, of which
      'loss' is differentiated.
    optimizer: An optax transformation.
    steps: Updates in all, those before a resume included.
    parallel: 'jit', 'pmap' or a strategy of `parallel`.
    microbatches: Parts that each device's share of a batch is cut into.
    ema_decay: Keeps a moving average, which is then what is evaluated.
    average: When an equal average begins, which is then what is evaluated.
    evaluate: `evaluate(params, step)` -> {'valid/loss': ...}.
    eval_every: Steps between evaluations; the last step is always evaluated.
    stop: Which of these numbers says what is best, and when to give up.
    checkpoints: Where to save; the best and the last step always are.
    save_every: Steps between saves; None saves where it evaluates.
    writers: Given every row.
    log_every: Steps between rows.
    progress: From the checkpoint when a run continues.
    learning_rate: The schedule; with it `learning_rate` is logged.
    flops_per_token: Of a training step; with it `mfu` is logged.
    profile: Directory for a profiler trace of five steps.

  Returns:
    A `FitResult`.

  Raises:
    log.NonFiniteLoss: If a logged interval holds a NaN or infinite loss.
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
  log = log_lib.Log(strategy, meter, progress, writers, learning_rate)
  visits = _Visits(
      strategy, log, progress, stop, average, evaluate, checkpoints)
  eval_every = eval_every or steps
  save_every = save_every or eval_every
  update = strategy.compile(functools.partial(
      step_lib.train_step, objective=objective, optimizer=optimizer,
      microbatches=microbatches, ema_decay=ema_decay))
  state = strategy.place(state)

  with contextlib.ExitStack() as stack:
    if checkpoints is not None:
      stack.callback(checkpoints.wait)
    tracer = trace.Trace(profile) if profile else None
    if tracer:
      stack.callback(tracer.close)
    stream = stack.enter_context(contextlib.closing(
        feed.ahead(batches, start, last, strategy.shard)))
    for index, batch in stream:
      if tracer:
        tracer.before_step()
      state, metrics = update(state, batch)
      log.flush()
      step = index + 1
      log.add(step, metrics)
      evaluates = step % eval_every == 0 or step == steps
      saves = step % save_every == 0 or step == steps
      # A row ends wherever a run could be resumed, so that rows never differ.
      if step % log_every == 0 or evaluates or saves:
        log.cut()
      if evaluates or saves:
        log.flush()
        state = visits.visit(step, state, evaluates, saves)
      if progress.exhausted(stop):
        break
  return FitResult(
      strategy.gather(state), progress.best_step, log.rows, progress,
      progress.exhausted(stop))


@dataclasses.dataclass
class _Visits:
  """The stops a run makes, to evaluate and to save."""
  strategy: parallel_lib.Strategy
  log: log_lib.Log
  progress: stopping.Progress
  stop: stopping.EarlyStopping
  average: averaging.NonMonotone | None
  evaluate: Callable[[Any, int], dict[str, float]] | None
  checkpoints: checkpoints_lib.Checkpoints | None

  def visit(self, step, state, evaluates, saves):
    """Evaluates and saves `state`; the best step is saved in any case.

    Returns the state to go on with: the average may begin.
    """
    score, placed = None, state
    state = self.strategy.gather(state)
    if evaluates and self.evaluate is not None:
      params = state.params if state.ema is None else state.ema
      row = self.evaluate(params, step)
      score = self.stop.score(row)
      best = self.progress.update(step, score, self.stop)
      saves = saves or best or self.progress.exhausted(self.stop)
      self.log.write(step, row)
      if self._average_begins(state):
        state = state.replace(averaged=jnp.int32(0))
        placed = self.strategy.place(state)
    if saves and self.checkpoints is not None:
      self.checkpoints.save(
          step, state, self.progress, score)
    self.log.meter.start()
    return placed

  def _average_begins(self, state):
    return (self.average is not None
            and int(state.averaged) == averaging.WAITING
            and self.average.begins(self.progress.scores))
