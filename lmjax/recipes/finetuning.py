"""Fine-tuning: initial parameters, trainable parameters, training and report.
"""
from collections.abc import Callable, Iterable, Mapping, Sequence
import dataclasses
import json
import math
import re
import time
from typing import Any

import flax.linen as nn

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core import secrets
from lmjax.core import terminal
from lmjax.core import trees
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import estimates
from lmjax.evaluation import report
from lmjax.evaluation import run_page
from lmjax import experiment
from lmjax.interop import runs
from lmjax import models
from lmjax.models.heads import warm_start
from lmjax.nn import pattern as pattern_lib
from lmjax.parallel import divisions
from lmjax.parallel import processes
from lmjax.parallel import sharding
from lmjax.recipes import attempts as attempts_lib
from lmjax.recipes.loaded import tuned
from lmjax.recipes import memory as memory_lib
from lmjax.recipes import summary
from lmjax.run import curve
from lmjax.run import directory
from lmjax.run import launch as launching
from lmjax.tasks import task as task_lib
from lmjax.training import loop
from lmjax.training import optimizers
from lmjax.training.optimizers import rules
from lmjax.training import step


@dataclasses.dataclass(frozen=True)
class Tested:
  """A fine-tuned model with its results on the test split.

  Attributes:
    config: The config of the run.
    begin: The tokenizer and the backbone that it started from.
    splits: The examples.
    rows: The examples as rows of tokens, by the name of the split.
    model: The module, with its head.
    params: Its parameters at the best checkpoint.
    step: The step of that checkpoint.
    fitted: The result of the training loop.
    outputs: The model's output for each test example.
    results: Results by name: first the model's, then the baselines'.
    seconds: Duration of the run.
  """
  config: experiment.Finetune
  begin: 'Start'
  splits: task_lib.Splits
  rows: Mapping[str, task_lib.Rows]
  model: nn.Module
  params: Any
  step: int
  fitted: loop.FitResult
  outputs: Sequence[Any]
  results: Mapping[str, task_lib.Result]
  seconds: float


def written(run: directory.RunDir, tested: Tested
            ) -> Mapping[str, task_lib.Result]:
  """Writes the results to the run directory, and returns them."""
  config, begin, splits = tested.config, tested.begin, tested.splits
  if processes.current().first:
    publish(
        run, config, tested.results,
        summary.of_model(begin.backbone, tested.params)
        | summary.of_task(config.task, splits)
        | summary.of_tokenizer(begin.tokenizer), config.task.answers(
            tested.outputs, splits.test, tested.rows['test'], splits),
        [*splits.notes, *begin.tokenizer.shortfall(
            None if config.init else config.tokenizer.asked),
         *untyped(tested.model, begin.backbone, splits),
         *(f'{name}: {r.describe()}.' for name, r in tested.rows.items())],
        step=tested.step, stopped_early=tested.fitted.stopped_early,
        init=config.init, parameters=trees.count(tested.params),
        parameters_hash=trees.digest(tested.params), seconds=tested.seconds)
  return tested.results


def finetune(
    config: experiment.Finetune, workdir: str,
    launch: launching.Launch = launching.Launch(),
    conclude: Callable[[Any, Tested], Any] = written) -> Any:
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
      tell(splits.notes)  # Before training, which may be on a wrong column.
    begin = start(config, splits)
    rows = {name: task.rows(getattr(splits, name), splits, begin.tokenizer)
            for name in task_lib.SPLITS}
    print('examples: ' + ', '.join(
        f'{name} {len(split):,}' for name, split in rows.items()))
    model = task.model(begin.backbone, splits)
    params = begin.initial_params(model, training.seed)
    launch.check_params(trees.count(params))
    held = frozen(config, params)
    update = optimizer(config, held).build(params, training.steps)
    state = step.init_state(
        params, update, training.seed, ema=training.ema_decay is not None,
        equal=training.average is not None, guard=training.guard)
    strategy = training.strategy()
    outputs_of = tuned.predictor(task.outputs(model), strategy)

    def judged(params, split, outputs_of=outputs_of):
      outputs = outputs_of(params, rows[split])
      return outputs, task.judge(
          outputs, getattr(splits, split), rows[split], splits)

    # All that the end needs is tried before the first step.
    blank = judged(params, 'valid', tuned.blank(task.outputs(model)))[1]
    training.stop.score({f'valid/{name}': 0.0 for name in blank.metrics})
    baselines = task.baselines(splits, rows['test'])

    def evaluate(params, _):
      metrics = judged(params, 'valid')[1].metrics
      return {f'valid/{name}': math.nan if found.value is None else found.value
              for name, found in metrics.items()}

    batches = rows['train'].batches(training.seed)
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
          parallel=strategy, evaluate=evaluate, unit=task.unit)
      outputs, result = judged(params, 'test')
    return conclude(run, Tested(
        config, begin, splits, rows, model, params, number, fitted, outputs,
        {'model': result} | baselines, time.perf_counter() - begun))


@dataclasses.dataclass(frozen=True)
class Start:
  """The tokenizer, config and parameters that fine-tuning starts from.

  Attributes:
    tokenizer: Maps text to ids.
    backbone: The backbone's config, with its vocabulary size.
    params: The pretrained parameters; None to train from scratch.
    digest: SHA-256 of the pretrained parameters, or 'none'.
  """
  tokenizer: tokenizer_lib.Tokenizer
  backbone: models.Config
  params: Any = None
  digest: str = 'none'

  def initial_params(self, model: nn.Module, seed: int) -> Any:
    """Returns a model's initial parameters; the head's are always new."""
    params = tuned.initial_params(model, seed)
    if self.params is None:
      return params
    return warm_start.warm_start(params, self.params, self.backbone)


def start(config: experiment.Finetune, splits: task_lib.Splits) -> Start:
  """Reads the run `config.init`; without one, builds a tokenizer and backbone.

  Raises:
    InputError: If the run cannot be read, its context is too short for the
      task's features, or heads or rows do not divide over the mesh.
  """
  if config.init is None:
    tokenizer = config.tokenizer.build(config.task.texts(splits.train))
    found = Start(tokenizer, config.model.with_vocab(tokenizer.vocab_size))
  else:
    run = runs.backbone(config.init)
    found = Start(run.tokenizer, run.config, run.params,
                  trees.digest(run.params))
  if config.task.longest > found.backbone.context:
    raise errors.InputError(
        f'task.features.lengths end at {config.task.longest} tokens, but the '
        f'model has a context of {found.backbone.context}; shorten the '
        'lengths, or train a model with a longer context.')
  if config.dropout is not None:
    if not found.backbone.traits.blocks:
      raise errors.InputError(
          f'config.dropout = {config.dropout} sets the rates of a Transformer '
          f'of blocks, which {type(found.backbone).__name__} is not: set '
          '--config.dropout=none. Its own rates are fields of the model.')
    backbone = pattern_lib.with_blocks(
        found.backbone, lambda block: dataclasses.replace(
            block, dropout=config.dropout))
    embed = dataclasses.replace(backbone.embed, dropout=config.dropout)
    found = dataclasses.replace(
        found, backbone=dataclasses.replace(backbone, embed=embed))
  if config.training.mesh is not None:
    divisions.check(
        found.backbone, sharding.parse(config.training.mesh),
        rows=config.task.batch_size,
        microbatches=config.training.microbatches,
        sequence=config.training.sequence)
  return found


def untyped(model: Any, backbone: models.Config, splits: task_lib.Splits
            ) -> tuple[str, ...]:
  """Returns a note if examples are pairs and the model has no token types."""
  if splits.texts < 2 or model.tells_apart:
    return ()
  return (
      f'{type(backbone).__name__} as configured has no token types: it reads a '
      'pair as one text, and tells its two apart by special tokens at most.',)


def frozen(config: experiment.Finetune, params: Any) -> tuple[str, ...]:
  """Returns patterns that match all frozen parameters.

  Raises:
    InputError: If a pattern of `train_only` matches no parameter, or all
      parameters are frozen.
  """
  patterns = config.optimizer.freeze
  if config.train_only:
    for pattern in config.train_only:
      trees.match(params, [(pattern, True), ('.*', False)])
    some = '|'.join(f'(?:{pattern})' for pattern in config.train_only)
    patterns += (f'^(?!.*(?:{some}))',)
  still = [path for path, _ in trees.items(params)
           if any(re.search(pattern, path) for pattern in patterns)]
  if len(still) == len(list(trees.items(params))):
    raise errors.InputError(
        'Nothing is left to train: optimizer.freeze and train_only hold every '
        'parameter.')
  return patterns if still else ()


def optimizer(config: experiment.Finetune, held: tuple[str, ...]
              ) -> optimizers.Config:
  """Returns the optimizer's config, with the patterns `held` frozen."""
  return dataclasses.replace(config.optimizer, freeze=held)


def tell(notes: Iterable[str]) -> None:
  """Prints notes, one per line."""
  for note in notes:
    print(terminal.printable(note), flush=True)


def publish(run: directory.RunDir, config: experiment.Finetune,
            results: Mapping[str, task_lib.Result], about: Mapping[str, str],
            answers: Iterable[Mapping[str, Any]], notes: Sequence[str],
            **facts: Any) -> None:
  """Writes the report, pictures and predictions, and prints the table.

  Each is written as soon as it exists, the report first. A result that cannot
  be made is left out, and the page says why.

  Args:
    run: The run directory to write `report.json`, `report.html`, `curve.png`,
      `predictions.jsonl` and the result's pictures to, such as
      `confusion.png`.
    config: The config of the run.
    results: Results on the test split by name, the model's first.
    about: Lines on the model and its data, for the page.
    answers: The model's answer to each test example, as JSON types.
    notes: Sentences for the report.
    **facts: More entries of `report.json`.

  Raises:
    RunError: At the end, if a result was left out.
  """
  attempts = attempts_lib.Attempts()
  notes = [*estimates.reasons(results), *notes]
  tree = {'results': {name: r.to_dict() for name, r in results.items()},
          'notes': notes}
  atomic.write(run.report, json.dumps(
      secrets.redact(tree | facts), indent=2) + '\n')
  attempts.make('predictions', lambda: atomic.write(
      run.path / 'predictions.jsonl', ''.join(
          json.dumps(answer) + '\n' for answer in answers)))
  pictures = _pictures(run, config, results, facts['step'], attempts)
  tables = estimates.tables(results)
  attempts.make('page', lambda: _write_page(
      run, about, tables, pictures, notes, facts, attempts.missing))
  model = next(iter(results.values()))
  for heading, table in tables.items():
    report.display(report.grid(
        *table, heading or f'{model.examples:,} examples.'))
  tell(notes)
  page = run.report if 'page' in attempts.missing else run.page
  print('---\n' + '\n'.join(
      f'{name.lower()}: {path}'
      for name, path in (pictures | {'Report': page}).items()))
  attempts.finish()


def _pictures(run, config, results, best, attempts):
  """Draws the pictures of a result and the curve; returns paths by name."""
  drawn, model = {}, next(iter(results.values()))
  metric = config.training.stop.metric
  for name, draw in model.pictures().items():
    path = run.path / f'{name.lower()}.png'
    drawn[name] = attempts.make(name.lower(), lambda draw=draw, path=path: (
        draw(path, f'{run.path.name}, test split'), path)[1])
  drawn['Curve'] = attempts.make('curve', lambda: (curve.plot(
      run.metrics, run.curve, title=run.path.name, unit='per example',
      best=best, metric=metric, baselines=_on_test(results, metric)),
                                                   run.curve)[1])
  return {name: path for name, path in drawn.items() if path is not None}


def _write_page(run, about, tables, pictures, notes, facts, missing):
  own = {f'Test split {heading}'.strip(): run_page.Table(
      *table, () if heading else notes) for heading, table in tables.items()}
  if missing:
    own['Left out'] = run_page.Table(['result', 'reason'], [*missing.items()])
  pictures, start = dict(pictures), json.loads(run.facts.read_text())[-1]
  run_page.write(
      run.page, title=run.path.name, config=json.loads(run.config.read_text()),
      about=about | summary.of_start(start), tables=own,
      curve_png=pictures.pop('Curve', None), pictures=pictures,
      facts=facts | start)


def _on_test(results: Mapping[str, task_lib.Result], metric: str
             ) -> dict[str, float]:
  """Returns a metric of the baselines, for the picture of the curve."""
  metric = metric.removeprefix('valid/')
  found = {f'{name} (test)': result.metrics.get(metric)
           for name, result in list(results.items())[1:]}
  return {name: each.value for name, each in found.items()
          if each is not None and each.value is not None}
