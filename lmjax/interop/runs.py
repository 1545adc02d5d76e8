"""A run directory as a source of weights: model, tokenizer and parameters.

`recipes.loaded` reads the rest of a run, such as its data, objective or task.
"""
import dataclasses
import pathlib
from typing import Any

import flax.linen as nn

from lmjax.checkpoints import store
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.interop import continuing
from lmjax import models
from lmjax.models import cost
from lmjax.models import counted
from lmjax.nn import readout
from lmjax.run import directory
from lmjax.run import signed


@dataclasses.dataclass(frozen=True)
class Pretrained:
  """A model with its parameters, and the tokenizer that they belong to.

  Attributes:
    config: The model's config, with its vocabulary.
    tokenizer: The model's tokenizer.
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
    InputError: If the directory is not a run or has no intact checkpoint, or
      the run counted its model, which then has no parameters, or was
      fine-tuned.
  """
  run = directory.RunDir(pathlib.Path(workdir))
  tree = read_config(run)
  refuse_tuned(run, tree)
  return _trained(run, tree.get('model'), step)


def backbone(workdir: str | pathlib.Path, step: int | str = 'best'
             ) -> Pretrained:
  """Reads the model of a run, or the backbone of a fine-tuned run.

  The parameters of a fine-tuned run include its head, and lack an untied output
  layer. See `load` for arguments and errors.
  """
  run = directory.RunDir(pathlib.Path(workdir))
  tree = read_config(run)
  return _trained(run, read_tuned(run, run.backbone) if is_tuned(tree)
                  else tree.get('model'), step)


def read_model(workdir: str | pathlib.Path
               ) -> tuple[Any, tokenizer_lib.Tokenizer]:
  """Returns the config and the tokenizer of a run's model; reads no parameters.

  See `load` for errors.
  """
  run = directory.RunDir(pathlib.Path(workdir))
  tree = read_config(run)
  refuse_tuned(run, tree)
  tokenizer = tokenizer_lib.load(run.tokenizer)
  return _model(run, tree.get('model')).with_vocab(
      tokenizer.vocab_size), tokenizer


def read_readout(run: directory.RunDir) -> readout.Readout:
  """Returns how a run's hidden states become the vector of a text.

  Raises:
    InputError: If the run's file for it is damaged.
  """
  if not run.readout.exists():
    return readout.Readout()
  return config_lib.freeze(
      readout.Readout, strict_json.read(run.readout), run.readout.name)


def write_readout(run: directory.RunDir, how: readout.Readout) -> None:
  """Keeps in a run how hidden states become the vector of a text."""
  atomic.write(run.readout, config_lib.dumps(how) + '\n')


def read_imported(run: directory.RunDir) -> dict[str, Any]:
  """Returns the facts about the files that a run was imported from.

  A run that was not imported has none: {}.

  Raises:
    InputError: If the file with them is damaged.
  """
  return _object(run, run.imported) if run.imported.exists() else {}


def read_continuing(run: directory.RunDir, vocab_size: int
                    ) -> continuing.Continuing:
  """Returns how the files that a run was imported from continue texts.

  A published model often ends texts with several ids, such as the end of a text
  and the end of a chat's turn; the EOS of its tokenizer need not be one of
  them.

  Args:
    run: The run directory; a run that was not imported says nothing.
    vocab_size: Number of ids of its model.

  Raises:
    InputError: If the run's file for it is damaged.
  """
  facts = read_imported(run)
  found = continuing.of(facts.get('generation', {}), vocab_size, run.imported)
  return dataclasses.replace(found, chat_template=facts.get('chat_template'))


def _trained(run: directory.RunDir, saved: Any, step: int | str) -> Pretrained:
  """Returns the model of a run whose config is `saved`."""
  return restore(run, _model(run, saved), step)


def _model(run: directory.RunDir, saved: Any) -> models.Config:
  """Returns the config of a run's model, which is `saved` as JSON types."""
  config = config_lib.freeze(
      models.Config | counted.Config, saved, 'config.model')
  if isinstance(config, counted.Config):
    raise errors.InputError(
        f'{run.path} is the run of a counted model, which has no parameters; '
        'give the run of a model that was trained.')
  return config


def restore(run: directory.RunDir, config: Any, step: int | str) -> Pretrained:
  """Reads tokenizer and parameters of a run whose model's config is known.

  Raises:
    InputError: If there is no such checkpoint, or it was saved with another
      model or tokenizer than the files beside it describe.
  """
  tokenizer = tokenizer_lib.load(run.tokenizer)
  config = config.with_vocab(tokenizer.vocab_size)
  step, params = store.restore_params(
      run.checkpoints, step, like=cost.shapes(config),
      check=lambda about: signed.check(run, about, tokenizer.digest))
  return Pretrained(config, tokenizer, config.build(), params, step)


def read_config(run: directory.RunDir) -> dict[str, Any]:
  """Returns the config of a run directory as JSON types.

  Raises:
    InputError: If the directory is not a run, or its config is not a JSON
      object.
  """
  if not run.config.is_file():
    raise errors.InputError(
        f'{run.path} is not a run directory: it has no {run.config.name}. Give '
        'the directory of a run of experiments/pretrain.py or finetune.py.')
  found = _object(run, run.config)
  if 'kind' not in found and 'model_type' in found:
    raise errors.InputError(
        f'{run.path} holds published weights rather than a run; make a run of '
        'them with experiments/import_weights.py --source and --workdir.')
  return found


def is_tuned(config: dict[str, Any]) -> bool:
  """Returns whether a config, as JSON types, is from a fine-tuned run."""
  return config.get('kind') == 'Finetune'


def refuse_tuned(run: directory.RunDir, config: dict[str, Any]) -> None:
  """Raises InputError if a run was fine-tuned, so that it models no text."""
  if is_tuned(config):
    raise errors.InputError(
        f'{run.path} was fine-tuned on a task and models no text any more: '
        'experiments/predict.py answers with it, experiments/embed.py embeds '
        'text, and experiments/finetune.py starts from it.')


def read_tuned(run: directory.RunDir, path: pathlib.Path) -> dict[str, Any]:
  """Returns the JSON object in a file of a fine-tuned run.

  Raises:
    InputError: If the file is missing, as in runs of an older lmjax, or does
      not hold a JSON object.
  """
  if not path.is_file():
    raise errors.InputError(
        f'{run.path} was fine-tuned by an lmjax that did not yet keep '
        f'{path.name}. Run its command of experiments/finetune.py once more: '
        'it writes the file, and does not train a finished run again.')
  return _object(run, path)


def _object(run: directory.RunDir, path: pathlib.Path) -> dict[str, Any]:
  """Returns the JSON object in a file of a run."""
  try:
    tree = strict_json.read(safe_paths.safe_join(run.path, path.name))
    if not isinstance(tree, dict):
      raise ValueError(f'it holds {type(tree).__name__}, not an object')
  except errors.InputError:
    raise
  except (ValueError, OSError) as error:
    raise errors.InputError(f'{path} is not JSON: {error}.') from error
  return tree
