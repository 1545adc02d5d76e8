"""Writes a model under Hugging Face's names as a GGUF file for llama.cpp."""
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.formats.gguf import adapter
from lmjax.interop.formats.gguf import architectures
from lmjax.interop.formats.gguf import blocks
from lmjax.interop.formats.gguf import container
from lmjax.interop.formats.gguf import layouts
from lmjax.interop.formats.gguf import names
from lmjax.interop.formats.gguf import rope

FILE_TYPES = {'F32': 0, 'F16': 1, 'Q8_0': 7}
_QUANTIZATION_VERSION = 2
# llama.cpp adds these in float32, or looks rows up in them.
_FLOAT32 = ('position_embd.weight', 'token_types.weight',
            'ffn_gate_inp.weight')
# Fields that may have another form in the config.
_FORMS = {'architectures', 'model_type', 'rope_scaling', 'rope_theta',
          'bos_token_id', 'eos_token_id', 'pad_token_id',
          'num_key_value_heads', 'num_kv_heads'}
_CASTS = {'whole': int, 'real': float, 'truth': bool, 'text': str}


def contents(config: Mapping[str, Any], tensors: tensors_lib.Tensors,
             vocabulary: Mapping[str, Any], kind: str = 'F16',
             name: str = 'lmjax',
             accept: Callable[[Mapping[str, Any]], None] = lambda found: None
             ) -> tuple[dict[str, Any], dict[str, Any]]:
  """Returns the values and the tensors of a GGUF file, for `container.write`.

  Matrices get the elements that were asked for, or F16 if their rows are no
  whole number of blocks; vectors are F32, as llama.cpp needs them.

  Args:
    config: The config.json of the model.
    tensors: Its tensors by Hugging Face's names.
    vocabulary: The tokenizer's values, by keys that begin with 'tokenizer.'.
    kind: The type of elements of matrices: 'F32', 'F16' or 'Q8_0'.
    name: A name of the model, for its users to read.
    accept: Function of the config.json as it will be read from the file; it may
      raise InputError.

  Raises:
    InputError: If llama.cpp has no such model, or a tensor has no place in it.
  """
  if kind not in FILE_TYPES:
    raise errors.InputError(
        f'GGUF files are written as {", ".join(FILE_TYPES)}; got {kind!r}.')
  try:
    architecture = _architecture(config)
    values, factors = _values(architecture, config)
    found = dict(_contents(architecture, config, tensors)) | {
        each: tensors_lib.Tensor.of(array) for each, array in factors.items()}
    metadata = {
        'general.architecture': architecture.name, 'general.type': 'model',
        'general.name': name, 'general.file_type': FILE_TYPES[kind],
        'general.quantization_version': _QUANTIZATION_VERSION,
        **{f'{architecture.name}.{key}': _CASTS[cast](value)
           for key, (cast, value) in values.items()}, **vocabulary}
    again = adapter.config_of(container.Container(metadata, found))
  except (KeyError, ValueError) as error:
    missing = isinstance(error, KeyError)
    raise errors.InputError(
        'The model cannot be written as GGUF: '
        f'{f"its config has no field {error}" if missing else error}.'
    ) from error
  _check(config, architecture, again)
  accept(again)
  return metadata, {each: (tensor, _type(each, tensor.shape, kind))
                    for each, tensor in found.items()}


def _architecture(config: Mapping[str, Any]) -> architectures.Architecture:
  kind = config.get('model_type')
  for each in architectures.ARCHITECTURES:
    if kind in (each.model_type, *each.also) and each.written(config):
      return each
  known = sorted({name for each in architectures.ARCHITECTURES
                  for name in (each.model_type, *each.also)})
  raise ValueError(
      f'llama.cpp has no {kind!r}; those that are written are '
      f'{", ".join(known)}')


def _values(architecture: architectures.Architecture,
            config: Mapping[str, Any]
            ) -> tuple[dict[str, tuple[str, Any]], dict[str, np.ndarray]]:
  """Returns the values, as (kind, value) by key, and tensors of factors."""
  found = {key: (kind, config[field])
           for key, field, kind in architecture.settings
           if config.get(field) is not None}
  head = config[architecture.width] // config[architecture.heads]
  size = config.get('head_dim') or head
  if 'attention.key_length' in found:
    found['attention.value_length'] = 'whole', size
  found['vocab_size'] = 'whole', config['vocab_size']
  if architecture.rotary:
    found['rope.dimension_count'] = 'whole', size
  found |= architecture.values(config)
  if config.get('sliding_window') and config.get(
      'use_sliding_window', True) and 'attention.sliding_window' not in found:
    raise ValueError(
        f'llama.cpp has no {architecture.name} with sliding_window = '
        f'{config["sliding_window"]}')
  if not architecture.rotary:
    return found, {}
  values, factors = rope.write(config, found['rope.dimension_count'][1])
  return found | values, factors


def _contents(architecture: architectures.Architecture,
              config: Mapping[str, Any], tensors: tensors_lib.Tensors
              ) -> Iterator[tuple[str, tensors_lib.Tensor]]:
  """Yields the tensors under llama.cpp's names and in its layouts."""
  found = {name.removeprefix(architecture.base): tensor
           for name, tensor in tensors.items()}
  if config.get('tie_word_embeddings'):
    found.pop('lm_head.weight', None)  # Repeats the embeddings.
  values, _ = _values(architecture, config)
  query = config[architecture.heads]
  heads = layouts.Heads(
      query, values.get('attention.head_count_kv', ('', query))[1])
  for row in architecture.rows:
    for layer in range(config[architecture.layers]) if row.layers else (0,):
      for suffix in names.SUFFIXES:
        name = row.hf.replace('{}', str(layer)) + suffix
        wanted = list(_wanted(name, row, config))
        parts = [found.pop(each) for each in wanted if each in found]
        if len(parts) < len(wanted) and (
            parts or suffix == '.weight' and not _is_tied(row, config)):
          raise ValueError(
              f'{len(wanted) - len(parts)} of the {len(wanted)} tensors '
              f'{name!r} are missing')
        if parts:
          yield (row.gguf.format(layer) + suffix,
                 _stacked(parts) if row.experts else _laid_out(
                     parts[0], row.layout, heads))
  if found:
    raise ValueError(
        f'llama.cpp has no place for the tensor {min(found)!r} in a '
        f'{architecture.model_type}')


def _wanted(name, row, config) -> Iterator[str]:
  """Yields the names of the tensors that one of llama.cpp's holds."""
  for expert in range(config['num_local_experts'] if row.experts else 1):
    yield name.replace('{e}', str(expert))


def _is_tied(row, config):
  return row.hf == 'lm_head' and config.get('tie_word_embeddings')


def _laid_out(tensor, layout, heads) -> tensors_lib.Tensor:
  return tensors_lib.Tensor(
      layout.shape(tensor.shape), tensor.dtype,
      lambda: layout.gguf(tensor.read(), heads))


def _stacked(parts: list[tensors_lib.Tensor]) -> tensors_lib.Tensor:
  return tensors_lib.Tensor(
      (len(parts), *parts[0].shape), parts[0].dtype,
      lambda: np.stack([part.read() for part in parts]))


def _type(name: str, shape: tuple[int, ...], kind: str) -> blocks.Type:
  """Returns the type of elements of a tensor."""
  if len(shape) < 2 or name.endswith(_FLOAT32):
    return blocks.BY_NAME['F32']
  if shape[-1] % blocks.BY_NAME[kind].weights:
    return blocks.BY_NAME['F16']
  return blocks.BY_NAME[kind]


def _check(config: Mapping[str, Any],
           architecture: architectures.Architecture,
           found: Mapping[str, Any]) -> None:
  """Checks that what will be read is what was meant.

  Raises:
    InputError: If llama.cpp would compute something else.
  """
  for field, value in found.items():
    given = config.get(field, value)
    if field not in _FORMS and given is not None and given != value and not (
        isinstance(value, float) and np.float32(given) == np.float32(value)):
      raise errors.InputError(
          f'The model has {field} = {given!r}, but llama.cpp\'s '
          f'{architecture.name} computes with {value!r}, so that it cannot be '
          'written as GGUF.')
