"""Looks up a named model size."""
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.models import model
from lmjax.models.presets import PRESETS


def named(name: str) -> model.ModelConfig:
  """Returns the config of a published or toy size.

  Its `vocab_size` is the published tokenizer's size, or None if there is no
  published tokenizer; `with_vocab` then sets it.

  Args:
    name: A key of `PRESETS`, such as 'gpt2' or 'bert_base'.

  Raises:
    InputError: If there is no such size; the message suggests the nearest name.
  """
  if name not in PRESETS:
    raise errors.InputError(
        f'There is no preset {name!r}; choose from {sorted(PRESETS)}.'
        f'{config_lib.near(name, PRESETS)}')
  return PRESETS[name]
