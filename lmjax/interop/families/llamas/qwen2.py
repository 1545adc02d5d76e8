"""Qwen 2 and 2.5: Llama with biases on queries, keys and values.

References:
  Qwen Team, Qwen2.5 Technical Report, arXiv:2412.15115, section 2.
"""
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import layer_types
from lmjax.models import decoder


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.expect('use_mrope', False)  # Three positions for each token.
  config = llama.read(fields, names)
  mixer = dataclasses.replace(config.block.mixer, bias=True, out_bias=False)
  return read_windows(fields, dataclasses.replace(
      config, block=dataclasses.replace(config.block, mixer=mixer)))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  tree = llama.write(config)
  del tree['attention_bias'], tree['mlp_bias']  # The same in all models.
  if tree['head_dim'] == config.width // tree['num_attention_heads']:
    del tree['head_dim']  # Qwen 2 does not have other sizes.
  return tree | write_windows(config) | {'architectures': ['Qwen2ForCausalLM']}


def read_windows(fields: fields_lib.Fields, config: decoder.DecoderConfig
                 ) -> decoder.DecoderConfig:
  """Returns a config with the windows that some layers of a Qwen may have."""
  full = fields.whole('max_window_layers', 28)
  window = fields.whole(
      'sliding_window', None if 'sliding_window' in fields else 4096)
  if not fields.take('use_sliding_window', False):
    window = None
  types = fields.take('layer_types', [
      layer_types.FULL if window is None or place < full
      else layer_types.SLIDING for place in range(config.num_layers)])
  if window is None and layer_types.SLIDING in types:
    raise errors.InputError(
        'config.json: layer_types has layers with sliding attention, but '
        'use_sliding_window or sliding_window says that there is no window.')
  return layer_types.windowed(config, types, window)


def write_windows(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of windows."""
  types, window = layer_types.written(config)
  return {
      'use_sliding_window': window is not None,
      'sliding_window': window,
      'max_window_layers': [*types, layer_types.SLIDING].index(
          layer_types.SLIDING),
      'layer_types': types}


FAMILY = dataclasses.replace(
    llama.FAMILY, name='Qwen 2', model_types=('qwen2',), read=read,
    write=write)
