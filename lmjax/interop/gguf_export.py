"""Exports a model with its tokenizer as one GGUF file, for llama.cpp."""
from collections.abc import Callable, Mapping
import os
from typing import Any

from lmjax.core import errors
from lmjax.data.tokenizers.converting import to_gguf
from lmjax.data.tokenizers import library
from lmjax.data.tokenizers import vocabulary as vocabulary_lib
from lmjax.interop import exporting
from lmjax.interop.families import family as family_lib
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.formats.gguf import container
from lmjax.interop.formats.gguf import writing
from lmjax.models import model as model_lib


def write(path: str | os.PathLike[str], config: model_lib.ModelConfig,
          params: Any, tokenizer: vocabulary_lib.Tokenizer, kind: str = 'F16',
          name: str = 'lmjax', chat_template: str | None = None,
          model_type: str | None = None) -> family_lib.Family:
  """Writes a GGUF file; tensors are made one at a time.

  Args:
    path: The file; it appears once it is complete.
    config: The model's config.
    params: The model's parameters, in any layout of layers.
    tokenizer: Its tokenizer.
    kind: The type of elements of matrices: 'F32', 'F16' or 'Q8_0'.
    name: A name of the model, for its users to read.
    chat_template: The template of its chats, or None.
    model_type: The family; by default, the first one of which llama.cpp has a
      model that computes the same.

  Returns:
    The family.

  Raises:
    InputError: If llama.cpp has no model that computes the same, or no such
      tokenizer.
  """
  vocabulary, refusals = _vocabulary(tokenizer, chat_template), []
  for family in exporting.families_of(config, model_type):
    fields = family.fields(config)
    tensors = dict(exporting.tensors(family, config, params))
    given = (fields, tensors, vocabulary, kind, name,
             _keeps(family, fields, tensors))
    try:
      contents = writing.contents(*given)
    except errors.InputError as error:
      refusals.append(error)
    else:
      container.write(path, *contents)
      return family
  raise refusals[0]


def _keeps(family: family_lib.Family, fields: Mapping[str, Any],
           tensors: tensors_lib.Tensors
           ) -> Callable[[Mapping[str, Any]], None]:
  """Returns a check that a file would be read as the model with these fields.
  """
  def check(found: Mapping[str, Any]) -> None:
    again = family.fields(family.config(found, tensors.keys()))
    changed = sorted(
        field for field in fields.keys() | again.keys()
        if fields.get(field) != again.get(field)
        and 'drop' not in field)  # GGUF has no dropout, which is for training.
    if changed:
      raise errors.InputError(
          'The model cannot be written as GGUF, which would not keep '
          + ', '.join(f'{field} = {fields.get(field)!r}' for field in changed)
          + '.')
  return check


def _vocabulary(tokenizer: vocabulary_lib.Tokenizer, chat_template: str | None
                ) -> dict[str, Any]:
  """Returns the metadata of a tokenizer."""
  try:
    if not isinstance(tokenizer, library.LibraryTokenizer):
      raise ValueError(
          f'llama.cpp has no tokenizer of the kind {tokenizer.name}')
    return to_gguf.metadata(tokenizer, chat_template)
  except ValueError as error:
    raise errors.InputError(
        f'The tokenizer cannot be written as GGUF: {error}.') from error
