"""What a run has to show: exact reports, samples, a curve and a page."""
from collections.abc import Callable, Mapping
import json
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lmjax.core import config as config_lib
from lmjax.core import metrics
from lmjax.core import terminal
from lmjax.core import trees
from lmjax.data import pipeline
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import carried
from lmjax.evaluation import held_out
from lmjax.evaluation import likelihood
from lmjax.evaluation import report
from lmjax.evaluation import run_page
from lmjax import experiment
from lmjax.generation import prompts as prompts_lib
from lmjax.generation import sample
from lmjax.objectives import lm
from lmjax.recipes import prompting
from lmjax.run import curve
from lmjax.run import directory


def watcher(config: experiment.Pretrain, data: pipeline.Data,
            objective: lm.Objective, score_of
            ) -> Callable[[Any, int], Mapping[str, float]] | None:
  """Returns what `loop.fit` evaluates: the loss on some held-out text.

  `training.eval_tokens` bounds how much, so that a look costs little; `measure`
  scores all of it. An exact likelihood is taken over windows that do not
  overlap; where there is none, it is the objective itself over held-out rows.
  """
  if data.valid is None:
    return None
  if config.objective.likelihood != 'exact':
    return _objective_on(data, objective, config.training.eval_tokens)
  context = config.scoring.context or data.length
  documents = held_out.Documents(data.valid, config.training.eval_tokens)

  def evaluate(params, step):
    del step
    found = likelihood.evaluate(
        score_of(params), documents, vocab_size=data.tokenizer.vocab_size,
        context=context, stride=context, bos_id=data.tokenizer.bos_id,
        batch_size=config.scoring.batch_size, lay=_lay(config, context))
    return {'valid/loss': found.nats_per_token,
            'valid/accuracy': found.accuracy}
  return evaluate


def _lay(config, context):
  """Returns how documents become batches; None: as `evaluate` does it."""
  return carried.Windows(context) if config.scoring.carried else None


def _objective_on(data: pipeline.Data, objective: lm.Objective, tokens: int
                  ) -> Callable[[Any, int], Mapping[str, float]]:
  """Returns `evaluate(params, step)`: an objective over held-out rows.

  The same rows each time, each once, and without a key, so that what is masked
  or noised is the same as well.
  """
  batches, compiled = data.batches('valid'), jax.jit(objective)
  count = max(1, min(int(batches.steps_per_epoch),
                     tokens // batches.tokens_per_batch))

  def evaluate(params, step):
    del step
    found = metrics.merge([jax.device_get(compiled(params, batches(i)))
                           for i in range(count)])
    return {f'valid/{name}': mean.value for name, mean in found.items()}
  return evaluate


def measure(config: experiment.Pretrain, data: pipeline.Data, score_of,
            params: Any) -> list[report.Report]:
  """Returns reports of the model and the baselines on held-out text.

  All of the validation split is scored, or of the training split where nothing
  is held out, which the report's name then says. A model without a likelihood
  (`score_of` is None) leaves the baselines.
  """
  kind = config.objective.likelihood
  scoring = config.scoring.settled(held_out.longest(kind, data.length))
  held = data.valid is not None
  return held_out.reports(
      score_of and score_of(params), data.valid if held else data.train,
      data.tokenizer,
      context=scoring.context, stride=scoring.stride,
      batch_size=scoring.batch_size, lay=_lay(config, scoring.context),
      name='model' if held else 'model (on its training text)',
      kind=kind, source=config.data.source, tokens=scoring.tokens,
      train=data.train, parameters_hash=trees.digest(params))


def prompts(config: experiment.Pretrain, tokenizer: tokenizer_lib.Tokenizer,
            model: nn.Module) -> list[prompts_lib.Prompt]:
  """Returns what samples begin with; refuses it before a run that ends so.

  Raises:
    InputError: If one is empty, or too long for the context with what follows.
  """
  samples, encode = config.samples, prompting.reader(config)
  if samples.prompts:
    sample.check(model)
  begun = [encode(tokenizer, text) for text in samples.prompts]
  if begun:
    prompts_lib.pad(
        begun, max_new_tokens=samples.max_new_tokens,
        context=model.config.context, vocab_size=model.config.vocab_size)
  return begun


def draw(config: experiment.Pretrain, tokenizer: tokenizer_lib.Tokenizer,
         model: nn.Module, params: Any) -> list[tuple[str, str]]:
  """Returns pairs (prompt, continuation); pair i is drawn as number i."""
  samples = config.samples
  if not samples.prompts:
    return []
  found = sample.generate(
      model, params, prompts(config, tokenizer, model),
      max_new_tokens=samples.max_new_tokens,
      sampling=samples.sampling, rng=samples.seed,
      eos_id=tokenizer.eos_id)
  return [(prompt, tokenizer.decode(np.asarray(tokens)))
          for prompt, tokens in zip(samples.prompts, found.tokens)]


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
