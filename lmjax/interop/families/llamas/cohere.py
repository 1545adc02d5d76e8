"""Cohere's Command R: both branches of a layer read the same norm.

References:
  Cohere For AI, C4AI Command R, 2024.
"""
import dataclasses
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rope
from lmjax.models import decoder
from lmjax.nn import layers
from lmjax.nn.residual import parallel


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.default(tie_word_embeddings=True, max_position_embeddings=8192)
  fields.expect('use_qk_norm', False, None)
  positions = rope.read(fields, theta=500_000.0)
  config = llama.read(
      fields, names, dataclasses.replace(positions, interleaved=True))
  norm = layers.LayerNorm(fields.number('layer_norm_eps', 1e-5), bias=False)
  return dataclasses.replace(
      config, final_norm=norm,
      head=dataclasses.replace(
          config.head, scale=fields.number('logit_scale', 0.0625)),
      block=parallel.Parallel(
          mixer=config.block.mixer, mlp=config.block.mlp, norm=norm))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  found = llama.descended(config)
  del found['rms_norm_eps']
  return found | {
      'architectures': ['CohereForCausalLM'],
      'layer_norm_eps': config.final_norm.epsilon,
      'logit_scale': config.head.multiplier(config.width),
      'use_qk_norm': False}


FAMILY = family.Family(
    name='Cohere', model_types=('cohere',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=llama.table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies,
    ignorable=('model_max_length',))  # The tokenizer's limit.
