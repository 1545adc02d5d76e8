"""Pretraining: from a config to a trained model and its report."""
from collections.abc import Callable
import functools
import time
from typing import Any

from lmjax.core import trees
from lmjax import experiment
from lmjax.parallel import strategy as strategy_lib
from lmjax.recipes import beginning
from lmjax.recipes import memory as memory_lib
from lmjax.recipes import prepared
from lmjax.recipes import results
from lmjax.run import launch as launching


def pretrain(
    config: experiment.Pretrain, workdir: str,
    launch: launching.Launch = launching.Launch(),
    profile: str | None = None,
    results_of: Callable[..., results.Results] = results.Results) -> Any:
  """Trains a model with `config` in `workdir`; returns held-out reports.

  The best checkpoint on held-out text is evaluated and sampled from. The same
  call continues a run that was stopped.

  Args:
    config: The config of the run.
    workdir: The run directory.
    launch: Options of this start, which may change when a run is continued.
    profile: Directory for a profiler trace of five steps.
    results_of: Makes the evaluations of the run, whose `conclude` returns what
      this function returns; see `results.Results`.

  Raises:
    InputError: If parts of the config do not fit together, the data cannot be
      read, a step does not fit into memory, or the directory holds another run.
    RunError: If memory runs out, or a result cannot be made.
    SystemExit: If a signal or the file STOP ends the run, after saving it.
  """
  begun = time.perf_counter()
  with launch.started(workdir, config) as started:
    parts = prepared.prepare(config, workdir)
    print(f'{parts.data.describe()}\n{parts.batches.describe()}')
    strategy, found, memory = checked(parts, launch, results_of)
    saved = beginning.is_saved(config, workdir)
    state = parts.state_shapes if saved else parts.initial_state()
    hashes = {} if saved else beginning.hashes(config, state.params)
    run = started.open_run(
        parts.data.hashes() | hashes, parts.tokenizer,
        functools.partial(beginning.keep, config))
    with memory.explained():
      fitted, step, params = started.fit(
          run, state, parts.batches, parts.batches.fingerprint,
          objective=parts.objective, optimizer=parts.optimizer,
          parallel=strategy, evaluate=found.watcher(),
          learning_rate=config.optimizer.rate(config.training.steps),
          flops_per_step=parts.flops_per_step, profile=profile,
          documents=parts.batches.documents,
          evaluate_first=config.init is not None)
      return found.conclude(
          run, params, begun, step=step, tokens=fitted.progress.tokens)


def checked(
    parts: prepared.Prepared, launch: launching.Launch,
    results_of: Callable[..., results.Results] = results.Results
) -> tuple[strategy_lib.Strategy, results.Results, memory_lib.Plan]:
  """Returns the strategy, evaluations and memory of a run that may begin.

  `pretrain` and `--dry_run` refuse the same runs here, before the first step.

  Raises:
    InputError: If the model has another size than expected, the devices do not
      fit the strategy, the end of the run would be refused, or a step does not
      fit into memory.
  """
  launch.check_params(trees.count(parts.shapes))
  strategy = parts.config.training.strategy()
  found = results_of(parts, strategy)
  memory = memory_lib.plan(
      parts.config, parts.objective, parts.optimizer, parts.state_shapes,
      parts.batches(0))
  if launch.check_memory:
    memory.check()
  return strategy, found, memory
