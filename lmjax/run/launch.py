"""Starting a run: what one start decides, and what holds while it lasts."""
from collections.abc import Callable, Iterator, Mapping
import contextlib
import dataclasses
import json
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
from lmjax.run import signals
from lmjax.run import skips as skips_lib
from lmjax.run import watchdog
from lmjax.training import loop
from lmjax.training import step as step_lib
from lmjax.training import supervision
from lmjax.training import writers


@dataclasses.dataclass(frozen=True)
class Launch:
  """What a person decides when starting a run, or starting it again.

  No result depends on it, so it is no part of the config.

  Attributes:
    on_damaged: Where the newest checkpoint is damaged: take the newest sound
      one ('older'), or 'fail'.
    takeover: Whether to take the directory from the run that holds it.
    override: Fields of the config that may differ from the saved run's.
    expect_params: How many parameters the model should have; None: any number.
    watchdog_s: Seconds that a step, an evaluation or a batch may take before
      the run is ended with all its stacks; None waits forever.
  """
  on_damaged: Literal['older', 'fail'] = 'older'
  takeover: bool = False
  override: tuple[str, ...] = ()
  expect_params: int | None = None
  watchdog_s: float | None = 3600.0

  @contextlib.contextmanager
  def started(self, workdir: str, config: Any) -> Iterator['Started']:
    """Holds a run directory while inside.

    Args:
      workdir: The directory; nothing else may write to it meanwhile.
      config: Of the run.

    Raises:
      InputError: If another process holds the directory, or it has the run of
        another config in it; or if processes of the run were started with
        different configs or flags.
    """
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
    """Raises InputError if a model of `count` parameters is not expected."""
    if self.expect_params is not None and count != self.expect_params:
      raise errors.InputError(
          f'The model has {count:,} parameters; --expect_params says '
          f'{self.expect_params:,}. Look for a field that is not what you '
          'think with --dry_run.')


@dataclasses.dataclass(frozen=True)
class Started:
  """A run that has its directory to itself.

  Attributes:
    launch: How it was started.
    workdir: The directory.
    config: Of the run.
    held: The lock, which process 0 has for all of them.
  """
  launch: Launch
  workdir: str
  config: Any
  held: lock.Held | None

  def open_run(self, hashes: Mapping[str, str], tokenizer: Any = None
               ) -> directory.RunDir:
    """Returns the run directory, with the config in it; see `rundir`.

    Args:
      hashes: Of what the run reads.
      tokenizer: Is saved in it.
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
      return run

  def fit(
      self, run: directory.RunDir, state: step_lib.TrainState,
      batches: Callable[[int], Any], pipeline: Mapping[str, Any], *,
      objective: step_lib.Objective, optimizer: optax.GradientTransformation,
      parallel: str | strategy_lib.Strategy = 'jit',
      evaluate: Callable[[Any, int], dict[str, float]] | None = None,
      learning_rate: optax.Schedule | None = None,
      flops_per_token: float | None = None, profile: str | None = None,
      documents: Callable[[int], Any] | None = None,
  ) -> tuple[loop.FitResult, int, Any]:
    """Trains from where the run stood, as `config.training` says.

    Args:
      run: Where checkpoints and metrics go.
      state: Of step 0; a checkpoint in the directory replaces it.
      batches: The global batch of a step, of those that a rollback did not
        leave out; with a method `shard` where there are several processes.
      pipeline: What the sequence of batches depends on, as JSON.
      objective: See `loop.fit`.
      optimizer: See `loop.fit`.
      parallel: See `loop.fit`.
      evaluate: See `loop.fit`.
      learning_rate: See `loop.fit`.
      flops_per_token: See `loop.fit`.
      profile: See `loop.fit`.
      documents: What a batch was made of, as JSON; for events.

    Returns:
      What the run ended with, and the number and the parameters of the best
      checkpoint.

    Raises:
      SystemExit: If a signal or the file STOP ended it, with the state saved.
    """
    training, launch = self.config.training, self.launch
    group, parallel = processes.current(), strategy_lib.strategy(parallel)
    skips = skips_lib.Skips.read(run.path)
    facts = {'config': json.loads(run.config.read_text()),
             'pipeline': pipeline, 'skips': skips.ranges}
    with contextlib.ExitStack() as stack:
      interrupts = stack.enter_context(signals.watched(run.stop))
      dog = stack.enter_context(watchdog.Watchdog(launch.watchdog_s))
      kind = (store.Checkpoints if group.first
              else following.Following)
      saved = stack.enter_context(kind(
          run.checkpoints, training.keep_last, training.keep_best, facts,
          on_damaged=launch.on_damaged,
          max_failed_saves=training.max_failed_saves,
          before_save=self.held and self.held.check))
      state, progress = saved.resume(state, launch.override)
      start = int(state.step)
      processes.same('checkpoint', {'step': start})
      saved.preflight(state)
      if start:  # Without its skips.json a run would see batches again.
        about = reading.about(run.checkpoints, start)
        skips.check(about['facts'].get('skips', ()), start)
      sinks, events = (), None
      if group.first:
        sinks = stack.enter_context(writers.opened(
            run.metrics, run.tensorboard, training.steps, start))
        events = stack.enter_context(contextlib.closing(
            writers.JsonLines(run.events, start)))
      if group.count > 1:
        batches = batches.shard(*parallel.share)
      fitted = loop.fit(
          state, lambda step: batches(skips.index(step)),
          objective=objective, optimizer=optimizer, steps=training.steps,
          parallel=parallel, microbatches=training.microbatches,
          ema_decay=training.ema_decay, average=training.average,
          guard=training.guard, evaluate=evaluate,
          eval_every=training.eval_every, stop=training.stop,
          checkpoints=saved, save_every=training.save_every,
          save_minutes=training.save_minutes, writers=sinks,
          log_every=training.log_every, progress=progress,
          learning_rate=learning_rate, flops_per_token=flops_per_token,
          profile=profile, workers=training.workers,
          supervision=supervision.Supervision(
              interrupts, dog.watching, events,
              documents and (lambda step: documents(skips.index(step))),
              training.replicas_every, group))
    if fitted.interrupted:
      if group.first:
        interrupts.obeyed()
        print(f'{fitted.interrupted}: saved step {int(fitted.state.step):,}; '
              'the same command goes on from there.', file=sys.stderr)
      raise SystemExit(signals.EXIT_SAVED)
    with processes.in_turn('last checkpoint'):
      return fitted, *store.restore_params(run.checkpoints, 'best')


def define_flags() -> Callable[[], Launch]:
  """Defines the flags of a start; returns what reads them, once parsed."""
  on_damaged = flags.DEFINE_enum(
      'on_damaged', 'older', ['older', 'fail'],
      'Where the newest checkpoint is damaged: take an older one, or stop.')
  takeover = flags.DEFINE_bool(
      'takeover', False, 'Take the directory from the run that holds it.')
  override = flags.DEFINE_multi_string(
      'override', [], 'A field that may differ from the saved run\'s, such as '
      'optimizer.learning_rate; may be repeated.')
  expect_params = flags.DEFINE_integer(
      'expect_params', None, 'How many parameters the model should have.',
      lower_bound=1)
  watchdog_s = flags.DEFINE_float(
      'watchdog_s', 3600, 'Seconds that a step, an evaluation or a batch may '
      'take; 0 waits forever.', lower_bound=0)
  return lambda: Launch(
      on_damaged.value, takeover.value, tuple(override.value),
      expect_params.value, watchdog_s.value or None)
