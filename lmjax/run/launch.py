"""Starting a run: the options of a start, and training in a run directory."""
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import dataclasses
import os
import sys
from typing import Any, Literal

from absl import flags
import optax

from lmjax.checkpoints import following
from lmjax.checkpoints import reading
from lmjax.checkpoints import store
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import secrets
from lmjax.parallel import processes
from lmjax.parallel import strategy as strategy_lib
from lmjax.run import directory
from lmjax.run import lock
from lmjax.run import opening
from lmjax.run import signals
from lmjax.run import signed
from lmjax.run import skips as skips_lib
from lmjax.run import watchdog
from lmjax.training import histograms
from lmjax.training import loop
from lmjax.training import step as step_lib
from lmjax.training import stopping
from lmjax.training import supervision
from lmjax.training.trackers import tracker
from lmjax.training import writers

flags.disclaim_key_flags()  # --help lists these flags under the script.


@dataclasses.dataclass(frozen=True)
class Launch:
  """The options of one start of a run.

  They do not affect results, so they are not part of the config.

  Attributes:
    on_damaged: If the newest checkpoint is damaged, use the newest intact one
      ('older') or stop with an error ('fail').
    takeover: Whether to take the directory over from the run that holds it.
    override: Fields of the config that may differ from the saved run's.
    expect_params: Expected number of parameters of the model; None accepts any.
    watchdog_s: Seconds that a step, an evaluation or a batch may take before
      the run is ended and its stacks are printed; None waits forever.
    check_memory: Whether to refuse a run that clearly does not fit into memory.
  """
  on_damaged: Literal['older', 'fail'] = 'older'
  takeover: bool = False
  override: tuple[str, ...] = ()
  expect_params: int | None = None
  watchdog_s: float | None = 3600.0
  check_memory: bool = True

  @contextlib.contextmanager
  def started(self, workdir: str, config: Any) -> Iterator['Started']:
    """Holds the lock of a run directory inside the block.

    Args:
      workdir: The directory, which no other run may write to meanwhile.
      config: The config of the run.

    Raises:
      InputError: If another process holds the directory, it contains a run with
        another config, a package of a tracker is not installed, or the
        processes of this run were started with different configs or flags.
      Stopped: At SIGTERM, except in `fit`, which saves first.
    """
    with signals.ending():
      if (training := getattr(config, 'training', None)) is not None:
        tracker.check(training.trackers)
      processes.same('config', config_lib.leaves(
          secrets.redact(config_lib.to_dict(config))))
      processes.same('flag', {
          name: value for name, value in dataclasses.asdict(self).items()
          if name != 'watchdog_s'} | {'workdir': os.path.abspath(workdir)})
      if not processes.current().first:
        yield Started(self, workdir, config, None)
        return
      with lock.held(workdir, self.takeover) as held:
        directory.check(workdir, config, override=self.override)
        yield Started(self, workdir, config, held)

  def check_params(self, count: int) -> None:
    """Raises InputError if `count` differs from `expect_params`."""
    if self.expect_params is not None and count != self.expect_params:
      raise errors.InputError(
          f'The model has {count:,} parameters, but --expect_params is '
          f'{self.expect_params:,}. Look for a config field with an unexpected '
          'value; --help lists the values of all fields.')


@dataclasses.dataclass(frozen=True)
class Started:
  """A run that holds the lock of its directory.

  Attributes:
    launch: The options of this start.
    workdir: The directory.
    config: The config of the run.
    held: The lock, in process 0; None in the other processes of the run.
  """
  launch: Launch
  workdir: str
  config: Any
  held: lock.Held | None

  def open_run(
      self, hashes: Mapping[str, str], tokenizer: Any = None,
      save: Callable[[directory.RunDir], None] | None = None
  ) -> directory.RunDir:
    """Writes the config to the run directory; see `directory.open_run`.

    Args:
      hashes: Digests of the files that the run reads, by field.
      tokenizer: The tokenizer to save in the directory, or None.
      save: Function that saves further files in the directory, or None.
    """
    processes.same('data', hashes)
    with processes.in_turn('run directory'):
      if not processes.current().first:
        return directory.check(
            self.workdir, self.config, hashes, self.launch.override)
      run = directory.open_run(
          self.workdir, self.config, hashes, self.launch.override)
      if tokenizer is not None:
        tokenizer.save(run.tokenizer)
      if save is not None:
        save(run)
      return run

  def fit(
      self, run: directory.RunDir, state: step_lib.TrainState,
      batches: Callable[[int], Any], pipeline: Mapping[str, Any], *,
      objective: step_lib.Objective, optimizer: optax.GradientTransformation,
      parallel: str | strategy_lib.Strategy = 'jit',
      evaluate: Callable[[Any, int], dict[str, float]] | None = None,
      learning_rate: optax.Schedule | None = None,
      flops_per_step: float | None = None, unit: str = 'tokens',
      profile: str | None = None,
      documents: Callable[[int], Any] | None = None,
      evaluate_first: bool = False,
  ) -> tuple[loop.FitResult, int, Any]:
    """Trains from the last checkpoint on, with the options `config.training`.

    Args:
      run: The directory of checkpoints and metrics.
      state: The state at step 0; a checkpoint in the directory replaces it.
      batches: Function from an index to a global batch. Batches that a rollback
        skips are not requested. Several processes need its method `shard`.
      pipeline: JSON facts that determine the sequence of batches.
      objective: See `loop.fit`.
      optimizer: See `loop.fit`.
      parallel: See `loop.fit`.
      evaluate: See `loop.fit`.
      learning_rate: See `loop.fit`.
      flops_per_step: See `loop.fit`.
      unit: See `loop.fit`.
      profile: See `loop.fit`.
      documents: Function from an index to the documents in that batch, as JSON;
        written with events.
      evaluate_first: See `loop.fit`.

    Returns:
      The result of `loop.fit`, then the step and the parameters of the best
      checkpoint.

    Raises:
      SystemExit: If a signal or the file STOP ended the run; its state has been
        saved.
    """
    training, group = self.config.training, processes.current()
    parallel = strategy_lib.strategy(parallel)
    with self.keeping(run, state, pipeline, parallel) as kept:
      observer = self._observer(objective, batches, kept, parallel)
      if group.count > 1:
        batches = batches.shard(*parallel.share)
      fitted = loop.fit(
          kept.state, lambda step: batches(kept.index(step)),
          objective=objective, optimizer=optimizer, steps=training.steps,
          parallel=parallel, microbatches=training.microbatches,
          ema_decay=training.ema_decay, average=training.average,
          guard=training.guard, evaluate=evaluate,
          eval_every=training.eval_every, evaluate_first=evaluate_first,
          stop=training.stop,
          checkpoints=kept.checkpoints, save_every=training.save_every,
          save_minutes=training.save_minutes,
          writers=(*kept.writers, *kept.trackers),
          log_every=training.log_every, progress=kept.progress,
          learning_rate=learning_rate, flops_per_step=flops_per_step,
          unit=unit, profile=profile, workers=training.workers,
          observer=observer,
          supervision=supervision.Supervision(
              kept.interrupts, kept.watching, kept.events,
              documents and (lambda step: documents(kept.index(step))),
              training.replicas_every, group))
    return fitted, *self.best(run, fitted, kept)

  def _observer(self, objective: step_lib.Objective,
                batches: Callable[[int], Any], kept: 'Kept',
                parallel: strategy_lib.Strategy
                ) -> histograms.Observer | None:
    """Returns what makes the histograms of a run, or None."""
    training = self.config.training
    if training.histogram_every is None:
      return None
    if processes.current().count > 1:
      raise errors.InputError(
          'training.histogram_every needs a run of one process, which has all '
          'parameters; leave it none.')
    return histograms.Observer(
        training.histogram_every, objective,
        lambda step: batches(kept.index(step)), kept.trackers,
        training.microbatches * len(parallel.devices))

  @contextlib.contextmanager
  def keeping(self, run: directory.RunDir, state: step_lib.TrainState,
              pipeline: Mapping[str, Any], parallel: strategy_lib.Strategy
              ) -> Iterator['Kept']:
    """Opens everything that `fit` keeps or watches while it trains.

    Args:
      run: The directory of checkpoints and metrics.
      state: The state at step 0.
      pipeline: JSON facts that determine the sequence of batches.
      parallel: How the run uses devices.
    """
    training, launch = self.config.training, self.launch
    first = processes.current().first
    skips = skips_lib.Skips.read(run.path)
    facts = signed.facts(run) | {'pipeline': pipeline, 'skips': skips.ranges}
    with contextlib.ExitStack() as stack:
      interrupts = stack.enter_context(signals.watched(run.stop))
      dog = stack.enter_context(watchdog.Watchdog(launch.watchdog_s))
      kind = store.Checkpoints if first else following.Following
      saved = stack.enter_context(kind(
          run.checkpoints, training.keep_last, training.keep_best, facts,
          on_damaged=launch.on_damaged,
          max_failed_saves=training.max_failed_saves,
          before_save=self.held and self.held.check,
          logs=(run.metrics, run.events)))
      state, progress = saved.resume(state, launch.override)
      start = int(state.step)
      processes.same('checkpoint', {'step': start})
      saved.preflight(state)
      if start:  # Without its skips.json a run would see batches again.
        about = reading.about(run.checkpoints, start)
        skips.check(about['facts'].get('skips', ()), start)
        signed.check_continued(
            run, about, self.config.changes, launch.override)
      sinks, trackers, events = (), (), None
      if first:
        print(opening.describe(state, parallel, self.config), flush=True)
        sinks = stack.enter_context(writers.opened(
            run.metrics, training.steps, start, progress.rows,
            self.held.check))
        trackers = stack.enter_context(tracker.opened(
            training.trackers, run.path, start))
        for each in trackers:
          each.describe(config_lib.leaves(facts['config']))
        events = stack.enter_context(contextlib.closing(
            writers.JsonLines(
                run.events, start, progress.skipped, self.held.check)))
      yield Kept(state, progress, saved, sinks, events, interrupts,
                 dog.watching, skips.index, trackers)

  def best(self, run: directory.RunDir, fitted: loop.FitResult, kept: 'Kept'
           ) -> tuple[int, Any]:
    """Returns the step and the parameters of the best checkpoint.

    Raises:
      SystemExit: If a signal or the file STOP ended the run.
    """
    if fitted.interrupted:
      if processes.current().first:
        kept.interrupts.obeyed()
        print(f'{fitted.interrupted}: saved step {int(fitted.state.step):,}; '
              'the same command continues from it.', file=sys.stderr)
      raise SystemExit(signals.EXIT_SAVED)
    with processes.in_turn('last checkpoint'):
      # The best may be from before a start with another layout of layers.
      return store.restore_params(
          run.checkpoints, 'best', like=fitted.state.params)


@dataclasses.dataclass(frozen=True)
class Kept:
  """The things that a run keeps or watches while it trains.

  Attributes:
    state: The state to train from.
    progress: Its progress, or None at step 0.
    checkpoints: Store for states.
    writers: Receive every row of metrics.
    events: Writer of unusual events, or None.
    interrupts: Source of requests to stop.
    watching: Limits the time of a step; see `supervision.Supervision`.
    index: Function from a step to the index of its batch.
    trackers: Places that show the run.
  """
  state: step_lib.TrainState
  progress: stopping.Progress | None
  checkpoints: loop.Checkpoints
  writers: Sequence[writers.Writer]
  events: writers.Writer | None
  interrupts: supervision.Interrupts | None
  watching: Callable[[str], contextlib.AbstractContextManager]
  index: Callable[[int], int]
  trackers: Sequence[tracker.Tracker] = ()


def define_flags() -> Callable[[], Launch]:
  """Defines the flags of a start; returns a function that reads their values.
  """
  on_damaged = flags.DEFINE_enum(
      'on_damaged', 'older', ['older', 'fail'],
      'If the newest checkpoint is damaged, use an older one or fail.')
  takeover = flags.DEFINE_bool(
      'takeover', False, 'Take the directory over from the run that holds it.')
  override = flags.DEFINE_multi_string(
      'override', [], 'A field that may differ from the saved run\'s, such as '
      'optimizer.learning_rate; may be repeated.')
  expect_params = flags.DEFINE_integer(
      'expect_params', None, 'Expected number of parameters of the model; any '
      'other number is an error.', lower_bound=1)
  watchdog_s = flags.DEFINE_float(
      'watchdog_s', 3600, 'Seconds that a step, an evaluation or a batch may '
      'take before the run is ended; 0 waits forever.', lower_bound=0)
  check_memory = flags.DEFINE_bool(
      'check_memory', True,
      'Refuse a run that clearly does not fit into memory.')
  return lambda: Launch(
      on_damaged.value, takeover.value, tuple(override.value),
      expect_params.value, watchdog_s.value or None, check_memory.value)


def given_flags() -> list[str]:
  """Returns the flags of `define_flags` that were given, for another process.
  """
  return [text for field in dataclasses.fields(Launch)
          if field.name in flags.FLAGS and flags.FLAGS[field.name].present
          for text in flags.FLAGS[field.name].serialize().split('\n')]
