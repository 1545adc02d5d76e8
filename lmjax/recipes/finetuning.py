"""Fine-tuning: from a config to a trained model, tested on its task."""
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import math
import time
from typing import Any

from lmjax.core import trees
from lmjax import experiment
from lmjax.parallel import processes
from lmjax.recipes.loaded import tuned
from lmjax.recipes import memory as memory_lib
from lmjax.recipes import starting
from lmjax.recipes import tested
from lmjax.run import launch as launching
from lmjax.tasks import task as task_lib
from lmjax.training.optimizers import rules
from lmjax.training import step
from lmjax.training import stopping


def finetune(
    config: experiment.Finetune, workdir: str,
    launch: launching.Launch = launching.Launch(),
    conclude: Callable[[Any, tested.Tested], Any] = tested.written) -> Any:
  """Fine-tunes a model with `config`; returns results on the test split.

  The best checkpoint on the validation split is tested once.

  Args:
    config: The config of the run.
    workdir: The run directory; the same config continues a stopped run.
    launch: Options of this start.
    conclude: Function of the run and its results, which makes what is returned.

  Returns:
    Results by name: first the model's, then the baselines'.

  Raises:
    InputError: If examples, run and task do not fit together.
  """
  begun, task, training = time.perf_counter(), config.task, config.training
  with launch.started(workdir, config) as started:
    splits = task.read()
    if processes.current().first:
      tested.tell(splits.notes)  # Training may be on a wrong column.
    begin = starting.start(config, splits)
    model = task.model(begin.backbone, splits)
    params = begin.initial_params(model, training.seed)
    strategy = training.strategy()
    judge = _Judge.of(task, splits, begin.tokenizer, tuned.predictor(
        task.outputs(model), strategy))
    launch.check_params(trees.count(params))
    judge.rehearse(
        params, tuned.blank(task.outputs(model)), training.stop)
    baselines = task.baselines(splits, judge.rows['test'])

    held = starting.frozen(config, params)
    update = starting.optimizer(config, held).build(params, training.steps)
    state = step.init_state(
        params, update, training.seed, ema=training.ema_decay is not None,
        equal=training.average is not None, guard=training.guard)
    batches = judge.rows['train'].batches(training.seed)
    objective = rules.without_gradient(task.loss(model), held)
    memory = memory_lib.plan(config, objective, update, state, batches(0))
    if launch.check_memory:
      memory.check()

    hashes = {'task.source: examples': splits.digest(),
              'tokenizer: ids': begin.tokenizer.digest,
              'init: parameters': begin.digest}
    run = started.open_run(
        hashes, begin.tokenizer,
        lambda run: tuned.save(run, begin.backbone, splits))
    with memory.explained():
      fitted, number, params = started.fit(
          run, state, batches, hashes | batches.fingerprint,
          documents=batches.documents, objective=objective, optimizer=update,
          parallel=strategy, evaluate=judge.evaluate, unit=task.unit)
      judge = judge.settled(params)
      outputs, result = judge(params, 'test')
    return conclude(run, tested.Tested(
        config, begin, judge.splits, judge.rows, model, params, number, fitted,
        outputs, {'model': result} | baselines, time.perf_counter() - begun))


@dataclasses.dataclass(frozen=True)
class _Judge:
  """Judges parameters on the examples of a task.

  Attributes:
    task: The task.
    splits: Its examples.
    rows: The examples as rows of tokens, by the name of the split.
    outputs_of: Function from parameters and rows to the model's outputs.
  """
  task: Any
  splits: task_lib.Splits
  rows: Mapping[str, task_lib.Rows]
  outputs_of: Callable[[Any, task_lib.Rows], Sequence[Any]]

  @classmethod
  def of(cls, task, splits, tokenizer, outputs_of) -> '_Judge':
    """Returns a judge, and prints the numbers of examples."""
    rows = {name: task.rows(getattr(splits, name), splits, tokenizer)
            for name in task_lib.SPLITS}
    print('examples: ' + ', '.join(
        f'{name} {len(split):,}' for name, split in rows.items()))
    return cls(task, splits, rows, outputs_of)

  def __call__(self, params: Any, split: str
               ) -> tuple[Sequence[Any], task_lib.Result]:
    """Returns the outputs for a split and their result."""
    outputs = self.outputs_of(params, self.rows[split])
    return outputs, self.task.judge(
        outputs, getattr(self.splits, split), self.rows[split], self.splits)

  def settled(self, params: Any) -> '_Judge':
    """Returns the judge with thresholds chosen on the validation split."""
    rows = self.rows['valid']
    return dataclasses.replace(self, splits=self.task.settled(
        lambda: self.outputs_of(params, rows), rows, self.splits))

  def evaluate(self, params: Any, at: int) -> dict[str, float]:
    """Returns the metrics on the validation split, for the training loop."""
    del at
    metrics = self(params, 'valid')[1].metrics
    return {f'valid/{name}': math.nan if found.value is None else found.value
            for name, found in metrics.items()}

  def rehearse(self, params: Any,
               blank: Callable[[Any, task_lib.Rows], Sequence[Any]],
               stop: stopping.EarlyStopping) -> None:
    """Judges blank outputs, so that errors are found before the first step."""
    result = dataclasses.replace(self, outputs_of=blank)(params, 'valid')[1]
    stop.score({f'valid/{name}': 0.0 for name in result.metrics})
