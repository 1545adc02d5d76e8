"""The results of a run: exact reports, samples, a curve and a page."""
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
  """What a run measures while it trains, and shows at its end.

  Attributes:
    parts: What the run is made of.
    prompts: What its samples begin with.
  """

  def __init__(self, parts: prepared.Prepared,
               strategy: strategy_lib.Strategy | None = None):
    """Checks the prompts now, rather than after training.

    Args:
      parts: What the run is made of.
      strategy: Where it trains and is measured; None: on one device.

    Raises:
      InputError: If a prompt is empty, or too long for the context with what
        follows.
    """
    self.parts = parts
    self.prompts = _prompts(parts)
    self._score_of = trained.scorer(
        parts, strategy, parts.config.scoring.carried)

  def watcher(self) -> Callable[[Any, int], Mapping[str, float]] | None:
    """Returns what `loop.fit` evaluates: the loss on some held-out text.

    `training.eval_tokens` bounds how much, so that a look costs little;
    `measure` scores all of it. An exact likelihood is taken over windows that
    do not overlap; where there is none, it is the objective itself over
    held-out rows.
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

    All of the validation split is scored, or of the training split where
    nothing is held out, which the report's name then says. A model without a
    likelihood leaves the baselines.
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
    """Returns pairs (prompt, continuation); pair i is drawn as number i."""
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
    """Measures, samples and publishes; returns the reports.

    Args:
      run: The run directory, which the first process writes to.
      params: What the run ended with.
      begun: When it began, by `time.perf_counter`.
      **facts: Further entries of `report.json`; `step` among them.
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
  """Returns how documents become batches; None: as `evaluate` does it."""
  return carried.Windows(context) if config.scoring.carried else None


def _objective_on(parts: prepared.Prepared
                  ) -> Callable[[Any, int], Mapping[str, float]]:
  """Returns `evaluate(params, step)`: an objective over held-out rows.

  The same rows each time, each once, and without a key, so that what is masked
  or noised is the same as well.
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
  """Writes `report.json`, `curve.png` and `report.html`; prints the gist."""
  watched = [row for row in map(json.loads, run.metrics.open())
             if row['step'] == facts['step'] and 'valid/loss' in row]
  facts['held_out'] = {name.removeprefix('valid/'): value for name, value in (
      watched[-1].items() if watched else ()) if name.startswith('valid/')}
  report.save(run.report, reports, **facts)
  kind, own = config.objective.likelihood, {}
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
