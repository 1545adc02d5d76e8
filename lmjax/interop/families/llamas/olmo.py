"""OLMo 1: a Llama whose norms have no parameters.

References:
  Groeneveld et al., OLMo: Accelerating the Science of Language Models,
  arXiv:2402.00838.
"""
import dataclasses
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import fields as fields_lib
from lmjax.models import decoder
from lmjax.nn import layers

_NORM = layers.LayerNorm(epsilon=1e-5, scale=False, bias=False)


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.expect('clip_qkv', None)
  config = llama.read(fields, names)
  return dataclasses.replace(
      config, final_norm=_NORM,
      block=dataclasses.replace(config.block, norm=_NORM))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  found = llama.descended(config)
  del found['rms_norm_eps']
  return found | {'architectures': ['OlmoForCausalLM'], 'clip_qkv': None}


FAMILY = family.Family(
    name='OLMo', model_types=('olmo',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=llama.table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies)
