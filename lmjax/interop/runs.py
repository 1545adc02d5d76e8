"""A run directory as a source of weights: model, tokenizer and parameters.

What else a run was made of, such as its data and objective, is not read here:
`recipes.trained` does that.
"""
import dataclasses
import pathlib
from typing import Any

import flax.linen as nn

from lmjax import models
from lmjax.checkpoints import store
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import safe_paths
from lmjax.core import strict_json
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.models import counted
from lmjax.run import directory


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """A model with its parameters, and the tokenizer that they belong to.

  Attributes:
    config: The model's config, with its vocabulary.
    tokenizer: Text to ids and back.
    model: The module.
    params: Its parameters, verified against their digests.
    step: The checkpoint that they are from.
  """
  config: Any
  tokenizer: tokenizer_lib.Tokenizer
  model: nn.Module
  params: Any
  step: int


def load(workdir: str | pathlib.Path, step: int | str = 'best') -> Pretrained:
  """Reads the model of a run directory of `experiments/pretrain.py`.

  Args:
    workdir: The directory.
    step: A checkpoint's number, 'best' or 'latest'.

  Raises:
    InputError: If the directory is no run, holds no sound checkpoint, or its
      model was counted and has no parameters.
  """
  run = directory.RunDir(pathlib.Path(workdir))
  saved = read_config(run).get('model')
  config = config_lib.freeze(
      models.Config | counted.Config, saved, 'config.model')
  if isinstance(config, counted.Config):
    raise errors.InputError(
        f'{workdir} is the run of a counted model, which has no parameters; '
        'give the run of a model that was trained.')
  return restore(run, config, step)


def restore(run: directory.RunDir, config: Any, step: int | str) -> Pretrained:
  """Reads tokenizer and parameters of a run whose model's config is known."""
  tokenizer = tokenizer_lib.load(run.tokenizer)
  config = config.with_vocab(tokenizer.vocab_size)
  step, params = store.restore_params(run.checkpoints, step)
  return Pretrained(config, tokenizer, config.build(), params, step)


def read_config(run: directory.RunDir) -> dict[str, Any]:
  """Returns the config of a run directory as JSON types.

  Raises:
    InputError: If the directory is no run, or its config is no JSON object.
  """
  if not run.config.is_file():
    raise errors.InputError(
        f'{run.path} is not a run directory: it has no {run.config.name}. Give '
        'the --workdir of a run of experiments/pretrain.py.')
  try:
    tree = strict_json.read(safe_paths.safe_join(run.path, run.config.name))
    if not isinstance(tree, dict):
      raise ValueError(f'it holds {type(tree).__name__}, not an object')
  except errors.InputError:
    raise
  except (ValueError, OSError) as error:
    raise errors.InputError(f'{run.config} is not JSON: {error}.') from error
  return tree
