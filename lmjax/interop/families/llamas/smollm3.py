"""SmolLM3: a Llama in which some layers have no positions.

References:
  Hugging Face, SmolLM3, 2025.
"""
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import layer_types
from lmjax.interop.mapping import rope
from lmjax.models import decoder
from lmjax.nn import pattern
from lmjax.nn import positions

_NONE = positions.NoPositions()


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.default(tie_word_embeddings=True, num_key_value_heads=4,
                 max_position_embeddings=32768)
  config = llama.read(fields, names, rope.read(fields, theta=2_000_000.0))
  turned = _turned(fields, config.num_layers)
  window = fields.whole('sliding_window', None)
  local = fields.take('use_sliding_window', False) and window is not None
  types = fields.take('layer_types', [
      layer_types.SLIDING if local and not turns else layer_types.FULL
      for turns in turned])
  if not local and layer_types.SLIDING in types:
    raise errors.InputError(
        f'config.json: layer_types has {layer_types.SLIDING}, but '
        'use_sliding_window and sliding_window do not give them a window.')
  config = layer_types.windowed(config, types, window)
  layers = [pattern.Layer(
      None if layer.block == config.block else layer.block,
      None if turns else _NONE)
            for layer, turns in zip(config.arrangement.layers, turned)]
  return dataclasses.replace(config, pattern=layer_types.repeated(layers))


def _turned(fields: fields_lib.Fields, count: int) -> list[bool]:
  """Returns for each layer whether it has positions."""
  every = fields.whole('no_rope_layer_interval', 4)
  if every < 1:
    raise errors.InputError(
        'config.json: no_rope_layer_interval should be at least 1; got '
        f'{every}.')
  found = fields.take('no_rope_layers', [
      int((i + 1) % every > 0) for i in range(count)])
  if len(found) < count or not set(found) <= {0, 1}:
    raise errors.InputError(
        'config.json: no_rope_layers should have 1 or 0 for each of the '
        f'{count} layers: 1 if it has rotary positions; got {found}.')
  return [bool(each) for each in found[:count]]


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  types, window = layer_types.written(config)
  return llama.descended(config) | {
      'architectures': ['SmolLM3ForCausalLM'],
      'mlp_bias': config.block.mlp.bias,
      'no_rope_layers': [
          int(layer.positions != _NONE)
          for layer in config.arrangement.layers],
      'layer_types': types,
      'use_sliding_window': window is not None,
      'sliding_window': window}


FAMILY = family.Family(
    name='SmolLM3', model_types=('smollm3',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=llama.table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies,
    ignorable=('max_window_layers',))  # It is of Qwen 2, and not used.
