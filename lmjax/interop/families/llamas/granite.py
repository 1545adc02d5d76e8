"""Granite 3.

References:
  Granite Team, IBM, Granite 3.0 Language Models, 2024.
"""
import dataclasses
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import fields as fields_lib
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn.residual import branch_norm

_DIGITS = 12  # A divisor that is kept as its inverse is rounded to these.


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  config = llama.read(fields, names)
  mixer = config.block.mixer
  scale = fields.number('attention_multiplier', 1.0)
  if scale == mixer.size(config.width) ** -0.5:
    scale = None
  return dataclasses.replace(
      config,
      embed=parts.Embed(scale=fields.number('embedding_multiplier', 1.0)),
      head=dataclasses.replace(
          config.head, scale=1 / fields.number('logits_scaling', 1.0)),
      block=branch_norm.BranchNorm(
          mixer=dataclasses.replace(mixer, scale=scale), mlp=config.block.mlp,
          before=config.final_norm, after=None,
          multiplier=fields.number('residual_multiplier', 1.0)))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer = config.block.mixer
  return llama.descended(config) | {
      'architectures': ['GraniteForCausalLM'],
      'mlp_bias': config.block.mlp.bias,
      'attention_multiplier': (
          mixer.size(config.width) ** -0.5 if mixer.scale is None
          else mixer.scale),
      'embedding_multiplier': config.embed.multiplier(config.width),
      'logits_scaling': round(
          1 / config.head.multiplier(config.width), _DIGITS),
      'residual_multiplier': config.block.multiplier}


FAMILY = family.Family(
    name='Granite', model_types=('granite',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=llama.table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies)
