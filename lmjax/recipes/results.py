"""The results of a run: held-out reports, samples, a curve and a page."""
from collections.abc import Callable, Mapping
import json
import time
from typing import Any

import jax
import numpy as np

from lmjax.core import config as config_lib
from lmjax.core import metrics
from lmjax.core import terminal
from lmjax.core import trees
from lmjax.evaluation import by_document
from lmjax.evaluation import carried
from lmjax.evaluation import held_out
from lmjax.evaluation import likelihood
from lmjax.evaluation import report
from lmjax.evaluation import run_page
from lmjax import experiment
from lmjax.generation import prompts as prompts_lib
from lmjax.generation import sample
from lmjax.parallel import processes
from lmjax.parallel import strategy as strategy_lib
from lmjax.recipes import prepared
from lmjax.recipes import prompting
from lmjax.recipes import trained
from lmjax.run import curve
from lmjax.run import directory


class Results:
  """The evaluations of a run during training and at its end.

  Attributes:
    parts: The parts of the run.
    prompts: The prompts to sample from.
  """

  def __init__(self, parts: prepared.Prepared,
               strategy: strategy_lib.Strategy | None = None):
    """Checks the prompts now, rather than after training.

    Args:
      parts: The parts of the run.
      strategy: How the run uses devices; None means one device.

    Raises:
      InputError: If a prompt is empty, or a prompt and its continuation are too
        long for the context.
    """
    self.parts = parts
    self.prompts = _prompts(parts)
    self._score_of = trained.scorer(
        parts, strategy, parts.config.scoring.carried)

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
    if config.objective.likelihood != 'exact':
      return _objective_on(self.parts)
    context = config.scoring.context or data.length
    documents = held_out.Documents(data.valid, config.training.eval_tokens)

    def evaluate(params, step):
      del step
      found = likelihood.evaluate(
          self._score_of(params), documents, context=context, stride=context,
          vocab_size=data.tokenizer.vocab_size, bos_id=data.tokenizer.bos_id,
          batch_size=config.scoring.batch_size, lay=_lay(config, context))
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
    kind, held = config.objective.likelihood, data.valid is not None
    scoring = config.scoring.settled(held_out.longest(kind, data.length))
    return held_out.reports(
        self._score_of and self._score_of(params),
        data.valid if held else data.train, data.tokenizer,
        context=scoring.context, stride=scoring.stride,
        batch_size=scoring.batch_size, lay=_lay(config, scoring.context),
        name='model' if held else 'model (on its training text)',
        kind=kind, source=config.data.source, tokens=scoring.tokens,
        train=data.train, parameters_hash=trees.digest(params))

  def draw(self, params: Any) -> list[tuple[str, str]]:
    """Returns pairs (prompt, continuation); pair i is sampled as number i."""
    samples, tokenizer = self.parts.config.samples, self.parts.tokenizer
    if not samples.prompts:
      return []
    found = sample.generate(
        self.parts.model, params, self.prompts,
        max_new_tokens=samples.max_new_tokens,
        sampling=samples.sampling, rng=samples.seed,
        eos_id=tokenizer.eos_id)
    return [(prompt, tokenizer.decode(np.asarray(tokens)))
            for prompt, tokens in zip(samples.prompts, found.tokens)]

  def conclude(self, run: directory.RunDir, params: Any, begun: float,
               **facts: Any) -> list[report.Report]:
    """Evaluates, samples and writes the results; returns the reports.

    Args:
      run: The run directory, which the first process writes to.
      params: The final parameters of the run.
      begun: The start time of the run, from `time.perf_counter`.
      **facts: More entries of `report.json`, including `step`.
    """
    reports = self.measure(params)
    if processes.current().first:
      samples = self.draw(params)
      publish(run, self.parts.config, reports, samples, **facts,
              seconds=time.perf_counter() - begun)
    return reports


def _prompts(parts: prepared.Prepared) -> list[prompts_lib.Prompt]:
  """Returns the prompts of a run's samples, checked."""
  samples, model = parts.config.samples, parts.model
  if not samples.prompts:
    return []
  sample.check(model)
  encode = prompting.reader(parts.config)
  begun = [encode(parts.tokenizer, text) for text in samples.prompts]
  prompts_lib.pad(
      begun, max_new_tokens=samples.max_new_tokens,
      context=model.config.context, vocab_size=model.config.vocab_size)
  return begun


def _lay(config, context):
  """Returns the function from documents to batches; None is the default."""
  return carried.Windows(context) if config.scoring.carried else None


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
            reports: list[report.Report], samples: list[tuple[str, str]],
            **facts: Any) -> None:
  """Writes `report.json`, `curve.png` and `report.html`; prints a summary."""
  watched = [row for row in map(json.loads, run.metrics.open())
             if row['step'] == facts['step'] and 'valid/loss' in row]
  facts['held_out'] = {name.removeprefix('valid/'): value for name, value in (
      watched[-1].items() if watched else ()) if name.startswith('valid/')}
  report.save(run.report, reports, **facts)
  kind, own = config.objective.likelihood, {}
  if kind != 'none':  # Otherwise the first report is a baseline's.
    by_document.write(run.held_out, reports[0].by_document)
  if kind != 'exact':
    own['The objective on held-out rows'] = run_page.Table(
        ['', *facts['held_out']],
        [['model', *(f'{v:.4f}' for v in facts['held_out'].values())]])
  curve.plot(run.metrics, run.curve, title=run.path.name,
             unit='nats per token' if kind == 'exact' else 'of the objective')
  starts = json.loads(run.facts.read_text())
  run_page.write(
      run.page, title=run.path.name, config=config_lib.to_dict(config),
      # Without a likelihood the first report would be a baseline's.
      reports=() if kind == 'none' else reports, tables=own,
      curve_png=run.curve, samples=samples, facts=facts | starts[-1])
  report.show(reports)
  if kind != 'exact':
    print('the objective on held-out rows: ' + ', '.join(
        f'{name} {value:.4f}' for name, value in facts['held_out'].items()))
  for prompt, text in samples:
    print(f'--- sample\n{terminal.printable(prompt + text)}')
  print(f'---\ncurve:  {run.curve}\nreport: {run.page}')
