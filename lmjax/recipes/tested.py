"""The results of a fine-tuned run: scores, predictions, pictures and a page."""
from collections.abc import Iterable, Mapping, Sequence
import dataclasses
import json
from typing import Any

import flax.linen as nn

from lmjax.core.files import atomic
from lmjax.core import secrets
from lmjax.core import terminal
from lmjax.core import trees
from lmjax.evaluation import estimates
from lmjax.evaluation import report
from lmjax.evaluation import run_page
from lmjax import experiment
from lmjax.parallel import processes
from lmjax.recipes import attempts as attempts_lib
from lmjax.recipes.loaded import tuned
from lmjax.recipes import starting
from lmjax.recipes import summary
from lmjax.run import curve
from lmjax.run import directory
from lmjax.tasks import task as task_lib
from lmjax.training import loop


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
  begin: starting.Start
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
    tuned.save_thresholds(run, splits, tested.step)
    publish(
        run, config, tested.results,
        summary.of_model(begin.backbone, tested.params)
        | summary.of_task(config.task, splits)
        | summary.of_tokenizer(begin.tokenizer), config.task.answers(
            tested.outputs, splits.test, tested.rows['test'], splits),
        [*splits.notes, *begin.tokenizer.shortfall(
            None if config.init else config.tokenizer.asked),
         *starting.untyped(tested.model, begin.backbone, splits),
         *(f'{name}: {r.describe()}.' for name, r in tested.rows.items())],
        step=tested.step, stopped_early=tested.fitted.stopped_early,
        init=config.init, parameters=trees.count(tested.params),
        parameters_hash=trees.digest(tested.params), seconds=tested.seconds)
  return tested.results


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
  tables, model = estimates.tables(results), next(iter(results.values()))
  attempts.make('page', lambda: _write_page(
      run, about, tables, model.tables(), pictures, notes, facts,
      attempts.missing, config.training.stop.metric.removeprefix('valid/')))
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


def _write_page(run, about, tables, errors, pictures, notes, facts, missing,
                metric):
  own = {f'Test split {heading}'.strip(): run_page.Table(
      *table, () if heading else notes, _place(metric, table[1]))
         for heading, table in tables.items()}
  own |= {heading: run_page.Table(*table, main=None)
          for heading, table in errors.items()}
  if missing:
    own['Left out'] = run_page.Table(['result', 'reason'], [*missing.items()])
  pictures, start = dict(pictures), json.loads(run.facts.read_text())[-1]
  run_page.write(
      run.page, title=run.path.name, config=json.loads(run.config.read_text()),
      about=about | summary.of_start(start), tables=own,
      curve_png=pictures.pop('Curve', None), pictures=pictures,
      facts=facts | start)


def _place(metric: str, rows: Sequence[Sequence[str]]) -> int:
  """Returns the row of a metric, or the first one, the model's."""
  names = [row[0] for row in rows]
  name = estimates.title(metric)
  return names.index(name) if name in names else 0


def _on_test(results: Mapping[str, task_lib.Result], metric: str
             ) -> dict[str, float]:
  """Returns a metric of the baselines, for the picture of the curve."""
  metric = metric.removeprefix('valid/')
  found = {f'{name} (test)': result.metrics.get(metric)
           for name, result in list(results.items())[1:]}
  return {name: each.value for name, each in found.items()
          if each is not None and each.value is not None}
