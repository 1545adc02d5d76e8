"""The vocabulary size of a model, which can be set from the tokenizer."""
import dataclasses
from typing import TypeVar

from lmjax.core import errors

T = TypeVar('T', bound='Sized')


class Sized:
  """Base class of configs whose `vocab_size` may be None."""
  vocab_size: int | None

  def with_vocab(self: T, tokenizer_size: int) -> T:
    """Returns the config with the tokenizer's size where it has None.

    Raises:
      InputError: If `vocab_size` is smaller than the tokenizer's.
    """
    if self.vocab_size is None:
      return dataclasses.replace(self, vocab_size=tokenizer_size)
    if self.vocab_size < tokenizer_size:
      raise errors.InputError(
          f'The tokenizer has {tokenizer_size} ids, but model.vocab_size is '
          f'{self.vocab_size}, so ids {self.vocab_size} to '
          f'{tokenizer_size - 1} would have no embedding. Leave it unset, or '
          f'set it to at least {tokenizer_size}.')
    return self


def check(vocab_size: int | None) -> None:
  """Checks that the vocabulary size is set.

  Raises:
    InputError: If it is None.
  """
  if vocab_size is None:
    raise errors.InputError(
        'model.vocab_size is unset; call `with_vocab(tokenizer.vocab_size)`.')
