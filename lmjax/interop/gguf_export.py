"""Exports a model with its tokenizer as one GGUF file, for llama.cpp."""
from collections.abc import Mapping
import os
from typing import Any

from lmjax.core import errors
from lmjax.data.tokenizers.converting import to_gguf
from lmjax.data.tokenizers import library
from lmjax.data.tokenizers import vocabulary as vocabulary_lib
from lmjax.interop import exporting
from lmjax.interop.formats.gguf import writing
from lmjax.models import model as model_lib


def write(path: str | os.PathLike[str], config: model_lib.ModelConfig,
          params: Any, tokenizer: vocabulary_lib.Tokenizer, kind: str = 'F16',
          name: str = 'lmjax', chat_template: str | None = None) -> None:
  """Writes a GGUF file; tensors are made one at a time.

  Args:
    path: The file; it appears once it is complete.
    config: The model's config.
    params: The model's parameters, in any layout of layers.
    tokenizer: Its tokenizer.
    kind: The type of elements of matrices: 'F32', 'F16' or 'Q8_0'.
    name: A name of the model, for its users to read.
    chat_template: The template of its chats, or None.

  Raises:
    InputError: If llama.cpp has no model that computes the same, or no such
      tokenizer.
  """
  family = exporting.family_of(config)
  fields = family.fields(config)
  tensors = dict(exporting.tensors(family, config, params))

  def accept(found: Mapping[str, Any]) -> None:
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
  writing.write(path, fields, tensors, _vocabulary(tokenizer, chat_template),
                kind, name, accept)


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
