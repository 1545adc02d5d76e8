"""What fine-tuning starts from, and which parameters it trains."""
import dataclasses
import re
from typing import Any

import flax.linen as nn
import numpy as np

from lmjax.core import errors
from lmjax.core import terminal
from lmjax.core import trees
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax import experiment
from lmjax.interop import runs
from lmjax import models
from lmjax.models.counted import word_vectors
from lmjax.models.heads import warm_start
from lmjax.nn import pattern as pattern_lib
from lmjax.parallel import divisions
from lmjax.parallel import processes
from lmjax.parallel import sharding
from lmjax.recipes.loaded import tuned
from lmjax.tasks import task as task_lib
from lmjax.training import optimizers


@dataclasses.dataclass(frozen=True)
class Start:
  """The tokenizer, config and parameters that fine-tuning starts from.

  Attributes:
    tokenizer: Maps text to ids.
    backbone: The backbone's config, with its vocabulary size.
    params: The pretrained parameters; None to train from scratch.
    digest: SHA-256 of the pretrained parameters, or 'none'.
    vectors: The vectors of tokens that initialise the embedding, or None.
  """
  tokenizer: tokenizer_lib.Tokenizer
  backbone: models.Config
  params: Any = None
  digest: str = 'none'
  vectors: word_vectors.Table | None = None

  def initial_params(self, model: nn.Module, seed: int) -> Any:
    """Returns a model's initial parameters; the head's are always new.

    Raises:
      InputError: If word vectors have another size than the embedding.
    """
    params = tuned.initial_params(model, seed)
    if self.vectors is not None:
      replaced = dict(trees.items(params)).get('embed/embedding')
      return word_vectors.into(
          params, self.vectors.vectors_VD, ids=self.vectors.rows,
          std=None if replaced is None else float(np.std(replaced)))
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
    if config.vectors is not None:
      found = dataclasses.replace(
          found, vectors=_vectors(config, splits, tokenizer))
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


def _vectors(config: experiment.Finetune, splits: task_lib.Splits,
             tokenizer: tokenizer_lib.Tokenizer) -> word_vectors.Table:
  """Returns the vectors of tokens, and prints how many have one."""
  table = config.vectors.table(
      [tokenizer.encode(text) for text in config.task.texts(splits.train)],
      tokenizer)
  if table.summary and processes.current().first:
    print(terminal.printable(table.summary), flush=True)
  return table


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
