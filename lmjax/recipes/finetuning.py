"""What fine-tuning starts from, what of it trains, and what it has to show."""
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import hashlib
import json
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import atomic
from lmjax.core import errors
from lmjax.core import secrets
from lmjax.core import terminal
from lmjax.core import trees
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation import classification
from lmjax.evaluation import report
from lmjax.evaluation import run_page
from lmjax import experiment
from lmjax import models
from lmjax.models.heads import pooled
from lmjax.objectives import labels
from lmjax.parallel import divisions
from lmjax.parallel import sharding
from lmjax.parallel import strategy as strategy_lib
from lmjax.recipes import trained
from lmjax.run import curve
from lmjax.run import directory
from lmjax.tasks import classification as classification_task
from lmjax.tasks import task as task_lib
from lmjax.training import optimizers


@dataclasses.dataclass(frozen=True)
class Start:
  """What fine-tuning starts from.

  Attributes:
    tokenizer: Text to ids.
    backbone: The backbone's config, with its vocabulary.
    params: The pretrained parameters, or None from scratch.
    digest: Of these parameters.
  """
  tokenizer: tokenizer_lib.Tokenizer
  backbone: models.Config
  params: Any = None
  digest: str = 'none'

  def initial_params(self, model: nn.Module, seed: int) -> Any:
    """Returns a classifier's parameters: pretrained but for its head."""
    row = jnp.zeros((1, 1), jnp.int32)
    params = jax.jit(model.init)(
        jax.random.key(seed), row, row, row + 1)['params']
    if self.params is None:
      return params
    return pooled.warm_start(params, self.params)


def start(config: experiment.Finetune, splits: task_lib.Splits) -> Start:
  """Reads the run `config.init`, or else makes a tokenizer and a new backbone.

  Raises:
    InputError: If the run cannot be read, its context is too short for the
      task's features, or heads or rows do not divide over the mesh.
  """
  if config.init is None:
    texts = (config.task.features.prefix + e.text for e in splits.train)
    tokenizer = config.tokenizer.build(texts)
    found = Start(tokenizer, config.model.with_vocab(tokenizer.vocab_size))
  else:
    run = trained.load(config.init)
    found = Start(run.tokenizer, run.config.model, run.params,
                  trees.digest(run.params))
  longest = config.task.features.lengths[-1]
  if longest > found.backbone.context:
    raise errors.InputError(
        f'task.features.lengths end at {longest} tokens, but the model has a '
        f'context of {found.backbone.context}; shorten the one or train the '
        'other with more.')
  if config.dropout is not None:
    if not found.backbone.traits.blocks:
      raise errors.InputError(
          f'config.dropout = {config.dropout} sets the rates of a Transformer '
          f'of blocks, which {type(found.backbone).__name__} is not; leave it '
          'None and set the model\'s own rates in pretraining.')
    block = dataclasses.replace(found.backbone.block, dropout=config.dropout)
    found = dataclasses.replace(found, backbone=dataclasses.replace(
        found.backbone, block=block, embed_dropout=config.dropout))
  if config.training.mesh is not None:
    divisions.check(
        found.backbone, sharding.parse(config.training.mesh),
        rows=config.task.features.batch_size,
        microbatches=config.training.microbatches,
        sequence=config.training.sequence)
  return found


def frozen(config: experiment.Finetune, params: Any) -> tuple[str, ...]:
  """Returns the patterns of all parameters that do not train.

  Raises:
    InputError: If a pattern of `train_only` meets no parameter.
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
  """Returns the optimizer's config with all that is held in its `freeze`."""
  return dataclasses.replace(config.optimizer, freeze=held)


def predictor(
    model: nn.Module, strategy: strategy_lib.Strategy, num_classes: int
) -> Callable[[Any, classification_task.Rows], np.ndarray]:
  """Returns `logits_of(params, rows)`, the logits [examples, classes].

  Compiled once a row length, for all parameters it is asked about.
  """
  function = strategy.map_batches(
      lambda params, batch: labels.class_logits(model, params, batch))

  def logits_of(params, rows):
    return classification_task.predict(
        function, strategy.place(params), rows, num_classes)
  return logits_of


def digest(splits: task_lib.Splits) -> str:
  """Returns the SHA-256 of all examples, in their order."""
  sha = hashlib.sha256()
  for name in ('train', 'valid', 'test'):
    for example in getattr(splits, name):
      sha.update(repr((name, example.text, example.label)).encode())
  return sha.hexdigest()


def publish(run: directory.RunDir,
            results: Mapping[str, classification.Classification],
            logits: np.ndarray, splits: task_lib.Splits, notes: Sequence[str],
            **facts: Any) -> None:
  """Writes the report, two pictures and the predictions, and prints the table.

  Args:
    run: Where: `report.json`, `report.html`, `confusion.png`, `curve.png` and
      `predictions.jsonl`.
    results: On the test split, of the model first, by name.
    logits: The model's, [test examples, classes].
    splits: The task's examples.
    notes: Sentences for the report.
    **facts: More entries of `report.json`.
  """
  tree = {'results': {name: r.to_dict() for name, r in results.items()},
          'notes': list(notes)}
  atomic.write(run.report, json.dumps(
      secrets.redact(tree | facts), indent=2) + '\n')
  model = next(iter(results.values()))
  classification.plot(
      run.path / 'confusion.png', model, f'{run.path.name}, test split')
  curve.plot(run.metrics, run.curve, title=run.path.name, unit='nats per text')
  atomic.write(run.path / 'predictions.jsonl', ''.join(
      json.dumps({'text': e.text, 'label': e.label,
                  'predicted': splits.labels[row.argmax()],
                  'logits': [round(float(x), 4) for x in row]}) + '\n'
      for e, row in zip(splits.test, logits)))
  run_page.write(
      run.page, title=run.path.name, config=json.loads(run.config.read_text()),
      curve_png=run.curve, pictures={'Confusion': run.path / 'confusion.png'},
      tables={'Test split': run_page.Table(
          classification.COLUMNS, classification.rows(results), notes)},
      facts=facts | json.loads(run.facts.read_text())[-1])
  report.display(classification.table(results))
  for line in notes:
    print(terminal.printable(line))
  print(f'---\nconfusion matrix: {run.path / "confusion.png"}\n'
        f'curve:            {run.curve}\nreport:           {run.page}')
