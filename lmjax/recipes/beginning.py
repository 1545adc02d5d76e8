"""What pretraining starts from if it goes on from another run."""
import pathlib
from typing import Any

from lmjax.checkpoints import reading
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core import trees
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax import experiment
from lmjax.interop.families import family
from lmjax.interop import runs
from lmjax import models
from lmjax.run import directory

_TOKENIZER = ('data.tokenizer', 'data.specials', 'data.sentinels')


def is_saved(config: experiment.Pretrain, workdir: str) -> bool:
  """Returns whether a run has checkpoints, so that `init` is not read again."""
  return config.init is not None and bool(reading.steps(
      directory.RunDir(pathlib.Path(workdir)).checkpoints))


def tokenizer(config: experiment.Pretrain, workdir: str
              ) -> tokenizer_lib.Tokenizer | None:
  """Returns the tokenizer of `config.init`; None if there is no such run.

  Args:
    config: The config of the run.
    workdir: Its directory; once it has checkpoints, it has the tokenizer too.

  Raises:
    InputError: If `init` cannot be read, or has another model or tokenizer than
      the config.
  """
  if config.init is None:
    return None
  if is_saved(config, workdir):
    return tokenizer_lib.load(
        directory.RunDir(pathlib.Path(workdir)).tokenizer)
  before, own = runs.read_model(config.init)
  _check(config, before, own)
  return own


def params(init: str, sized: models.Config) -> Any:
  """Returns the best parameters of a run, with layers laid out as in `sized`.

  Raises:
    InputError: If it has no intact checkpoint.
  """
  return runs.restore(
      directory.RunDir(pathlib.Path(init)), sized, 'best').params


def hashes(config: experiment.Pretrain, initial: Any) -> dict[str, str]:
  """Returns the digest of the parameters that `init` gave, by field, or {}."""
  return {} if config.init is None else {
      'init: parameters': trees.digest(initial)}


def keep(config: experiment.Pretrain, run: directory.RunDir) -> None:
  """Keeps in a run how the published model that it goes on from is used.

  These are the ids that end its texts, its chat template and the like.
  """
  if config.init is None or run.imported.exists():
    return
  facts = directory.RunDir(pathlib.Path(config.init)).imported
  if facts.exists():
    atomic.write(run.imported, facts.read_bytes())


def _check(config: experiment.Pretrain, before: models.Config,
           own: tokenizer_lib.Tokenizer) -> None:
  """Raises InputError if a config has another model or tokenizer than a run."""
  changed = {f'model.{name}': pair for name, pair in config_lib.difference(
      family.computing(before),
      family.computing(config.model.with_vocab(own.vocab_size))).items()}
  made = runs.read_config(directory.RunDir(pathlib.Path(config.init)))
  changed |= {name: pair for name, pair in config_lib.difference(
      {'data': made.get('data', {})},
      {'data': config_lib.to_dict(config.data)}).items()
              if any(name == each or name.startswith(f'{each}.')
                     for each in _TOKENIZER)}
  if changed:
    lines = ''.join(f'\n  {name}: {theirs!r} -> {ours!r}'
                    for name, (theirs, ours) in sorted(changed.items()))
    raise errors.InputError(
        f'--config.init={config.init} has another model or tokenizer than the '
        f'config (the run -> the config):{lines}\nTraining on needs the same: '
        f'start from the config of that run, with --config={config.init}.')
