"""GGUF models under Hugging Face's names: config, tensors, tokenizer."""
from collections.abc import Iterator, Mapping
import os
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.interop.formats import adapted
from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.formats.gguf import architectures
from lmjax.interop.formats.gguf import container
from lmjax.interop.formats.gguf import keys as keys_lib
from lmjax.interop.formats.gguf import layouts
from lmjax.interop.formats.gguf import names
from lmjax.interop.formats.gguf import rope

_OUTPUT = 'output'
_IDS = {'bos': 'bos_token_id', 'eos': 'eos_token_id',
        'padding': 'pad_token_id'}
_STOPS = 'eos', 'eot', 'eom'


def read(path: str | os.PathLike[str]) -> adapted.Adapted:
  """Opens a GGUF model; a tensor is read when it is asked for.

  Args:
    path: A file in GGUF.

  Returns:
    The model, whose `vocabulary` has the values of the file that begin with
    'tokenizer.', with lists rather than arrays.

  Raises:
    InputError: If the file is damaged, is not a language model of a known
      architecture, or has a value or a tensor that is not known.
  """
  found = container.read(path)
  try:
    return _adapted(found)
  except ValueError as error:
    raise errors.InputError(
        f'{path} is not a model that can be read: {error}.') from error


def config_of(found: container.Container) -> dict[str, Any]:
  """Returns what the config.json would say.

  Raises:
    ValueError: If the contents are not a model of a known architecture.
  """
  return _config(_architecture(found.metadata, found.tensors), found)


def _adapted(found: container.Container) -> adapted.Adapted:
  metadata = found.metadata
  _check_kind(metadata)
  architecture = _architecture(metadata, found.tensors)
  config = config_of(found)
  return adapted.Adapted(
      config, dict(_renamed(architecture, config, found.tensors)),
      _generation(metadata),
      {key: value.tolist() if isinstance(value, np.ndarray) else value
       for key, value in metadata.items() if key.startswith('tokenizer.')})


def _check_kind(metadata):
  """Raises ValueError if the file is no whole model."""
  kind = metadata.get('general.type', 'model')
  if kind != 'model':
    raise ValueError(f'it is of the type {kind!r:.60} rather than a model')
  if metadata.get('split.count', 1) not in (0, 1):
    raise ValueError(
        f'it is one of {metadata["split.count"]!r:.20} files; merge them first '
        'with `llama-gguf-split --merge`')


def _architecture(metadata: Mapping[str, Any], tensors: tensors_lib.Tensors
                  ) -> architectures.Architecture:
  name = metadata.get('general.architecture')
  for each in architectures.ARCHITECTURES:
    if each.name == name and each.variant(metadata, tensors.keys()):
      return each
  known = sorted({each.name for each in architectures.ARCHITECTURES})
  raise ValueError(
      f'its architecture is {name!r:.60}, and those that are read are '
      f'{", ".join(known)}')


def _config(architecture: architectures.Architecture,
            found: container.Container) -> dict[str, Any]:
  """Returns the config.json."""
  tensors = found.tensors
  keys = keys_lib.Keys(found.metadata, architecture.name)
  fields = {'model_type': architecture.model_type,
            'architectures': [architecture.kind]}
  for key, field, kind in architecture.settings:
    value = keys.take(key, kind)
    if value is not None:
      fields[field] = value
  for field in architecture.width, architecture.heads, architecture.layers:
    if not fields.get(field, 0) > 0:
      raise ValueError(f'it does not say {field}')
  fields |= architecture.constants
  for field, name in architecture.sizes.items():
    if name not in tensors or len(tensors[name].shape) != 2:
      raise ValueError(f'it has no matrix {name}')
    fields[field] = tensors[name].shape[0]
  keys.expect('vocab_size', 'whole', fields['vocab_size'])
  keys.take('pooling_type', 'whole')  # Is of the embeddings, not the model.
  if any(row.gguf == _OUTPUT for row in architecture.rows):
    fields['tie_word_embeddings'] = f'{_OUTPUT}.weight' not in tensors
  fields |= {field: name in tensors
             for field, name in architecture.present.items()}
  fields |= architecture.extra(keys, fields)
  fields |= _heads_of(keys, architecture, fields, tensors)
  fields |= {field: found.metadata[f'tokenizer.ggml.{name}_token_id']
             for name, field in _IDS.items()
             if f'tokenizer.ggml.{name}_token_id' in found.metadata}
  keys.finish()
  return fields


def _heads_of(keys, architecture, fields, tensors) -> dict[str, Any]:
  """Returns the fields about the size of heads, and their rotation."""
  head = fields[architecture.width] // fields[architecture.heads]
  size = keys.take('attention.key_length', 'whole', head)
  keys.expect('attention.value_length', 'whole', size)
  if not architecture.rotary:
    return {}
  rotated = keys.take('rope.dimension_count', 'whole', size)
  found = rope.read(keys, tensors, rotated)
  if rotated != size and 'rotary_pct' not in fields and (
      'partial_rotary_factor' not in fields):
    if 'head_dim' in fields or not _has_head(architecture):
      raise ValueError(
          f'it rotates {rotated} of {size} dimensions of a head, which a '
          f'{architecture.model_type} does not')
    found['head_dim'] = rotated  # Older files say only this.
  return found


def _has_head(architecture):
  return any(field == 'head_dim' for _, field, _ in architecture.settings)


def _heads(architecture, fields) -> layouts.Heads:
  query = fields[architecture.heads]
  key = fields.get(architecture.key_heads, query)
  if not 0 < key <= query or query % key:
    raise ValueError(
        f'it has {query} heads, which {key} heads of keys cannot serve')
  return layouts.Heads(query, key)


def _renamed(
    architecture: architectures.Architecture, fields: Mapping[str, Any],
    tensors: Mapping[str, container.Stored]
) -> Iterator[tuple[str, tensors_lib.Tensor]]:
  """Yields the tensors under their new names and in their new layouts."""
  heads = _heads(architecture, fields)
  layers = fields[architecture.layers]
  if layers > len(tensors):
    raise ValueError(
        f'it should have {layers:,} layers, but has {len(tensors):,} tensors')
  left = set(tensors).difference(rope.TENSORS if architecture.rotary else ())
  for row in architecture.rows:
    for layer in range(layers) if row.layers else (0,):
      for suffix in names.SUFFIXES:
        name = row.gguf.format(layer) + suffix
        if name in tensors:
          left.remove(name)
          yield from _converted(name, tensors[name], row, layer, suffix, heads)
  if left:
    raise ValueError(
        f'the tensor {min(left)[:100]!r} has no place in a '
        f'{architecture.model_type} of {layers} layers')


def _converted(name, tensor, row, layer, suffix, heads):
  """Yields one tensor, or the tensors of all experts."""
  layout = row.layout
  if not tensor.shape or tensor.shape[0] % layout.rows(heads):
    raise ValueError(
        f'the tensor {name} has the shape {tensor.shape}, which cannot be '
        f'divided into {heads.query} heads, and {heads.key} of keys')
  if row.experts:
    for expert in range(tensor.shape[0]):
      yield (row.hf.replace('{e}', str(expert)).format(layer) + suffix,
             tensors_lib.Tensor(tensor.shape[1:], tensor.dtype,
                                lambda expert=expert: tensor.part(expert)))
  else:
    yield row.hf.format(layer) + suffix, tensors_lib.Tensor(
        layout.shape(tensor.shape), tensor.dtype,
        lambda: layout.hf(tensor.read(), heads))


def _generation(metadata: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the ids of the special tokens that generation needs."""
  ids = {name: metadata.get(f'tokenizer.ggml.{name}_token_id')
         for name in {*_IDS, *_STOPS}}
  for name, found in ids.items():
    if found is not None and not isinstance(found, int):
      raise ValueError(
          f'tokenizer.ggml.{name}_token_id should be a whole number, but is '
          f'{found!r:.60}')
  stops = list(dict.fromkeys(
      ids[name] for name in _STOPS if ids[name] is not None))
  found = {field: ids[name] for name, field in _IDS.items()
           if ids[name] is not None}
  if stops:
    found['eos_token_id'] = stops if len(stops) > 1 else stops[0]
  return found
