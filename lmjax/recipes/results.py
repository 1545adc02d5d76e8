"""The results of a run: held-out reports, samples, a curve and a page."""
from collections.abc import Callable, Mapping
import dataclasses
import functools
import json
import time
from typing import Any

import jax
import numpy as np

from lmjax.core import config as config_lib
from lmjax.core.files import strict_json
from lmjax.core import metrics
from lmjax.core import terminal
from lmjax.core import trees
from lmjax.evaluation import by_document
from lmjax.evaluation import held_out
from lmjax.evaluation import likelihood
from lmjax.evaluation import report
from lmjax.evaluation import run_page
from lmjax import experiment
from lmjax.generation import prompts as prompts_lib
from lmjax.generation import sample
from lmjax.generation import transforms as transforms_lib
from lmjax.parallel import processes
from lmjax.parallel import strategy as strategy_lib
from lmjax.recipes import attempts as attempts_lib
from lmjax.recipes.loaded import prompting
from lmjax.recipes.loaded import scorers
from lmjax.recipes import prepared
from lmjax.recipes import summary
from lmjax.run import curve
from lmjax.run import directory
from lmjax.training.trackers import tracker


class Results:
  """The evaluations of a run during training and at its end.

  Attributes:
    parts: The parts of the run.
    prompts: The prompts to sample from.
  """

  def __init__(self, parts: prepared.Prepared,
               strategy: strategy_lib.Strategy | None = None):
    """Checks all that the results need now, rather than after training.

    Scores and samples are traced on the parameters' shapes, which computes
    nothing.

    Args:
      parts: The parts of the run.
      strategy: How the run uses devices; None means one device.

    Raises:
      InputError: If text cannot be scored in windows of that context and
        stride, the evaluation does not return the metric that training stops
        by, or a prompt is empty or leaves no room in the context.
    """
    config = parts.config
    self.parts = parts
    self.prompts = _prompts(parts)
    self._scoring = config.scoring.settled(
        scorers.window(config, parts.tokenizer, parts.data.length))
    self._score_of = scorers.scorer(
        parts, strategy, config.scoring.carried,
        filled=config.likelihood == 'span pseudo')
    self._lay = scorers.layout(config, parts.tokenizer, self._scoring)
    if parts.data.valid is not None:
      config.training.stop.score(dict.fromkeys(_watched(parts), 0.0))
    if self.prompts:
      sample.rehearse(parts.model, parts.shapes, self.prompts, **self._drawing)

  def watcher(self) -> Callable[[Any, int], Mapping[str, float]] | None:
    """Returns the function that `loop.fit` evaluates: the held-out loss.

    It uses at most `training.eval_tokens` tokens, so that it costs little;
    `measure` scores all of the text. If the objective has an exact likelihood,
    it is computed over windows that do not overlap; otherwise the function
    returns the objective on held-out rows.
    """
    config, data = self.parts.config, self.parts.data
    if data.valid is None:
      return None
    if config.likelihood != 'exact':
      return _objective_on(self.parts)
    context = config.scoring.context or data.length
    lay = scorers.layout(config, data.tokenizer, dataclasses.replace(
        config.scoring, context=context, stride=context))
    documents = held_out.Documents(data.valid, config.training.eval_tokens)

    def evaluate(params, step):
      del step
      found = likelihood.evaluate(
          self._score_of(params), documents, lay=lay,
          vocab_size=data.tokenizer.vocab_size, bos_id=data.tokenizer.bos_id)
      return {'valid/loss': found.nats_per_token,
              'valid/accuracy': found.accuracy}
    return evaluate

  def measure(self, params: Any) -> list[report.Report]:
    """Returns reports of the model and the baselines on held-out text.

    All of the validation split is scored. Without a validation split, the
    training split is scored instead, and the report's name states this. For a
    model without a likelihood, only the baselines are reported.
    """
    config, data = self.parts.config, self.parts.data
    kind, held = config.likelihood, data.valid is not None
    scoring = self._scoring
    return held_out.reports(
        self._score_of and self._score_of(params),
        data.valid if held else data.train, data.tokenizer,
        context=scoring.context, stride=scoring.stride,
        batch_size=scoring.batch_size,
        lay=self._lay,
        name='model' if held else 'model (on its training text)',
        kind=kind, source=config.data.source, tokens=scoring.tokens,
        train=data.train, parameters_hash=trees.digest(params))

  def draw(self, params: Any) -> list[tuple[str, str]]:
    """Returns pairs (prompt, continuation); pair i is sampled as number i."""
    if not self.prompts:
      return []
    found = sample.generate(
        self.parts.model, params, self.prompts, **self._drawing)
    decode = self.parts.tokenizer.decode
    return [(prompt, decode(np.asarray(tokens))) for prompt, tokens in zip(
        self.parts.config.samples.prompts, found.tokens)]

  @property
  def _drawing(self) -> dict[str, Any]:
    """The options with which samples are drawn."""
    samples, tokenizer = self.parts.config.samples, self.parts.tokenizer
    return dict(max_new_tokens=min(
        prompts_lib.limit(i, prompt, samples.max_new_tokens,
                          self.parts.model.config.context)
        for i, prompt in enumerate(self.prompts)),
                sampling=samples.sampling, rng=samples.seed,
                eos_id=tokenizer.eos_id,
                transforms=(transforms_lib.Known(tokenizer.vocab_size),))

  def conclude(self, run: directory.RunDir, params: Any, begun: float,
               **facts: Any) -> list[report.Report]:
    """Evaluates, samples and writes the results; returns the reports.

    Scores that `report.json` already holds are not computed again.

    Args:
      run: The run directory, which the first process writes to.
      params: The final parameters of the run.
      begun: The start time of the run, from `time.perf_counter`.
      **facts: More entries of `report.json`, including `step`.

    Raises:
      RunError: At the end, if a result could not be made.
    """
    of = {'parameters_hash': trees.digest(params),
          'scoring': config_lib.to_dict(self.parts.config.scoring)}
    earlier = _earlier(run, of)
    reports = earlier or self.measure(params)
    if not processes.current().first:
      return reports
    facts['held_out'] = _last_watched(run, facts['step'])
    facts['parameters'] = trees.count(params)
    if earlier is None:
      if self._score_of is not None:  # Else the first report is a baseline's.
        by_document.write(run.held_out, reports[0].by_document)
      report.save(run.report, reports, **of, **facts,
                  seconds=time.perf_counter() - begun)
    publish(run, self.parts.config, reports,
            functools.partial(self.draw, params),
            summary.of_model(self.parts.sized, params)
            | summary.of_data(self.parts.data), **facts,
            seconds=time.perf_counter() - begun)
    return reports


def _prompts(parts: prepared.Prepared) -> list[prompts_lib.Prompt]:
  """Returns the prompts of a run's samples."""
  samples = parts.config.samples
  if not samples.prompts:
    return []
  sample.check(parts.model)
  encode = prompting.reader(parts.config)
  return [encode(parts.tokenizer, text) for text in samples.prompts]


def _watched(parts: prepared.Prepared) -> set[str]:
  """Returns the names of the metrics that a run's `watcher` returns."""
  if parts.config.likelihood == 'exact':
    return {'valid/loss', 'valid/accuracy'}
  found = jax.eval_shape(
      parts.objective, parts.shapes, parts.data.batches('valid')(0))
  return {f'valid/{name}' for name in found}


def _earlier(run: directory.RunDir, of: Mapping[str, Any]
             ) -> list[report.Report] | None:
  """Returns the reports that a run has if they are of these parameters."""
  # Several processes score together, and only the first may see the file.
  if processes.current().count > 1 or not run.report.exists():
    return None
  try:
    saved = strict_json.read(run.report)
    if all(saved[name] == value for name, value in of.items()):
      return report.load(run.report)
  except (OSError, ValueError, LookupError, TypeError):
    pass  # Not a report of this version; it is replaced.
  return None


def _last_watched(run: directory.RunDir, step: int) -> dict[str, float]:
  """Returns the evaluation of a step during training, by metric; or {}."""
  rows = [row for row in map(json.loads, run.metrics.open())
          if row['step'] == step and 'valid/loss' in row]
  return {name.removeprefix('valid/'): value for name, value in (
      rows[-1].items() if rows else ()) if name.startswith('valid/')}


def _objective_on(parts: prepared.Prepared
                  ) -> Callable[[Any, int], Mapping[str, float]]:
  """Returns `evaluate(params, step)`: the objective on held-out rows.

  Every call uses the same rows, each once, and no random key, so the masks and
  the noise are also the same.
  """
  batches, compiled = parts.data.batches('valid'), jax.jit(parts.objective)
  tokens = parts.config.training.eval_tokens
  count = max(1, min(int(batches.steps_per_epoch),
                     tokens // batches.tokens_per_batch))

  def evaluate(params, step):
    del step
    found = metrics.merge([jax.device_get(compiled(params, batches(i)))
                           for i in range(count)])
    return {f'valid/{name}': mean.value for name, mean in found.items()}
  return evaluate


def publish(run: directory.RunDir, config: experiment.Pretrain,
            reports: list[report.Report],
            draw: Callable[[], list[tuple[str, str]]],
            about: Mapping[str, str], **facts: Any) -> None:
  """Makes the samples, `curve.png` and `report.html`; prints a summary.

  A result that cannot be made is left out, and the page says why.

  Args:
    run: The run directory, which already has its `report.json`.
    config: The config of the run.
    reports: The reports of the model and the baselines.
    draw: Returns the samples, as pairs (prompt, continuation).
    about: Lines on the model and its data, for the page.
    **facts: Facts for the page, with the last evaluation as `held_out`.

  Raises:
    RunError: At the end, if a result was left out.
  """
  attempts, kind = attempts_lib.Attempts(), config.likelihood
  samples = attempts.make('samples', draw) or []
  attempts.make('samples in trackers', lambda: _show_samples(
      run, config.training.trackers, samples, facts['step']))
  attempts.make('curve', lambda: _draw_curve(
      run, config, reports, facts['step']))
  attempts.make('page', lambda: _write_page(
      run, config, reports, samples, about, facts, attempts.missing))
  report.show(reports)
  if kind != 'exact':
    print('the objective on held-out rows: ' + ', '.join(
        f'{name} {value:.4f}' for name, value in facts['held_out'].items()))
  for prompt, text in samples:
    print(f'--- sample\n{terminal.printable(prompt + text)}')
  print('---')
  if 'curve' not in attempts.missing:
    print(f'curve:  {run.curve}')
  print(f'report: {run.report if "page" in attempts.missing else run.page}')
  attempts.finish()


def _draw_curve(run, config, reports, best):
  exact, metric = (config.likelihood == 'exact',
                   config.training.stop.metric)
  curve.plot(
      run.metrics, run.curve, title=run.path.name, best=best, metric=metric,
      unit='nats per token' if exact else 'of the objective',
      baselines={each.name: each.nats_per_token for each in reports[1:]
                 if exact and metric == 'valid/loss'})


def _show_samples(run, trackers, samples, step):
  if not samples:
    return
  with tracker.opened(trackers, run.path) as opened:
    for each in opened:
      for number, (prompt, text) in enumerate(samples):
        each.text(step, f'samples/{number}', prompt + text)


def _write_page(run, config, reports, samples, about, facts, missing):
  kind, own = config.likelihood, {}
  if kind != 'exact':
    own['The objective on held-out rows'] = run_page.Table(
        ['', *facts['held_out']],
        [['model', *(f'{v:.4f}' for v in facts['held_out'].values())]])
  if missing:
    own['Left out'] = run_page.Table(['result', 'reason'], [*missing.items()])
  starts = json.loads(run.facts.read_text())
  run_page.write(
      run.page, title=run.path.name, config=config_lib.to_dict(config),
      about=about | summary.of_start(starts[-1]),
      curve_terms=_two_numbers(config, reports[0], facts['held_out']),
      # Without a likelihood the first report would be a baseline's.
      reports=() if kind == 'none' else reports, tables=own,
      curve_png=None if 'curve' in missing else run.curve, samples=samples,
      facts=facts | starts[-1])


def _two_numbers(config: experiment.Pretrain, scored: report.Report,
                 watched: Mapping[str, float]) -> list[str]:
  """Returns a sentence on why the curve and the table differ."""
  if (config.likelihood != 'exact' or config.scoring.carried
      or scored.stride == scored.context or 'loss' not in watched):
    return []
  return [
      f'Held-out loss is {watched["loss"]:.4f} in the curve and '
      f'{scored.nats_per_token:.4f} in the table. The curve is computed during '
      f'training, on at most {config.training.eval_tokens:,} tokens in '
      f'disjoint windows of {scored.context:,}, whose first tokens have little '
      f'context. The windows of the table move by {scored.stride:,} tokens, so '
      f'each token but those at the start of a document sees at least '
      f'{scored.context - scored.stride:,} before it.']
