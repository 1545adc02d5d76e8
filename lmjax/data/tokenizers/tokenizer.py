"""Loads a saved tokenizer."""
import pathlib
from typing import Any

from lmjax.core import config
from lmjax.core import errors
from lmjax.core.files import safe_paths
from lmjax.core.files import strict_json
from lmjax.data.tokenizers import specials
from lmjax.data.tokenizers import TOKENIZERS
from lmjax.data.tokenizers import vocabulary

Tokenizer = vocabulary.Tokenizer

_MAX_SENTINELS = 1 << 16


def load(directory: str | pathlib.Path) -> Tokenizer:
  """Returns the tokenizer that `Tokenizer.save` wrote into the directory.

  Raises:
    InputError: If it is missing or was changed after it was saved.
  """
  path = safe_paths.safe_join(directory, vocabulary.FILE)
  try:
    state = strict_json.read(path)
    digest, kind = state.pop('digest'), state['kind']
    base = state['of'] if kind == 'Extended' else state
    tokenizer = _restore(base, path)
    if base is not state:
      _check_specials(state['specials'], state['sentinels'])
      tokenizer = specials.Extended(
          tokenizer, state['specials'], state['sentinels'])
  except errors.InputError:
    raise
  except FileNotFoundError:
    raise errors.InputError(
        f'There is no tokenizer at {str(path)!r}; give the directory that a '
        'run or train_tokenizer.py wrote.') from None
  except (ValueError, KeyError, AttributeError, TypeError, OSError) as error:
    raise errors.InputError(
        f'{str(path)!r} is not a saved tokenizer: {error!r}.') from None
  if tokenizer.digest != digest:
    raise errors.InputError(
        f'The tokenizer in {str(directory)!r} was changed after it was saved '
        f'(its digest was {digest!s:.12} and is {tokenizer.digest[:12]}); '
        'restore its files.')
  return tokenizer


def _check_specials(names: Any, sentinels: Any) -> None:
  """Raises ValueError if the state is not one of `specials.Extended`."""
  if not isinstance(names, list) or not all(
      isinstance(name, str) for name in names):
    raise ValueError('specials should be a list of names')
  if type(sentinels) is not int or not 0 <= sentinels <= _MAX_SENTINELS:
    raise ValueError(f'sentinels should be from 0 to {_MAX_SENTINELS}')


def _restore(state: dict[str, Any], path: pathlib.Path) -> Tokenizer:
  """Returns the tokenizer of a state, without special tokens."""
  kind = state['kind']
  if kind not in TOKENIZERS:
    raise errors.InputError(
        f'{str(path)!r} is a tokenizer of kind {kind!r}; choose from '
        f'{sorted(TOKENIZERS)}.{config.near(kind, TOKENIZERS)}')
  if type(state['bos']) is not bool or type(state['eos']) is not bool:
    raise ValueError('bos and eos should be true or false')
  return TOKENIZERS[kind].restore(state, path.parent)
