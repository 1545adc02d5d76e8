"""A model's vocabulary, which its config may leave to the tokenizer."""
import dataclasses
from typing import TypeVar

from lmjax.core import errors

T = TypeVar('T', bound='Sized')


class Sized:
  """Base of the configs with a `vocab_size` that may be None."""
  vocab_size: int | None

  def with_vocab(self: T, tokenizer_size: int) -> T:
    """Returns the config with its vocabulary settled by the tokenizer's.

    Raises:
      InputError: If the config asks for fewer ids than the tokenizer has.
    """
    if self.vocab_size is None:
      return dataclasses.replace(self, vocab_size=tokenizer_size)
    if self.vocab_size < tokenizer_size:
      raise errors.InputError(
          f'The tokenizer has {tokenizer_size} ids, but model.vocab_size is '
          f'{self.vocab_size}: JAX would read ids {self.vocab_size} to '
          f'{tokenizer_size - 1} as others, and say nothing. Leave it unset, '
          'or set at least that many.')
    return self


def check(vocab_size: int | None) -> None:
  """Refuses to build a model whose vocabulary is still open.

  Raises:
    InputError: If it is None.
  """
  if vocab_size is None:
    raise errors.InputError(
        'model.vocab_size is unset; call `with_vocab(tokenizer.vocab_size)`.')
