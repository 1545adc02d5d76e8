"""Mistral: Llama with a window in all layers, or in none.

References:
  Jiang et al., Mistral 7B, arXiv:2310.06825.
"""
import dataclasses
from typing import Any

from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import fields as fields_lib
from lmjax.models import decoder


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  config = llama.read(fields, names)
  window = fields.whole(  # Mistral 7B v0.2 has the field, and it is null.
      'sliding_window', None if 'sliding_window' in fields else 4096)
  mixer = dataclasses.replace(config.block.mixer, window=window)
  return dataclasses.replace(
      config, block=dataclasses.replace(config.block, mixer=mixer))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  tree = llama.write(config)
  del tree['attention_bias'], tree['mlp_bias']  # There never are biases.
  return tree | {'architectures': ['MistralForCausalLM'],
                 'sliding_window': config.block.mixer.window}


FAMILY = dataclasses.replace(
    llama.FAMILY, name='Mistral', model_types=('mistral',), read=read,
    write=write)
