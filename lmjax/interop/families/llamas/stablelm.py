"""StableLM 2 and StableLM 3B.

References:
  Bellagente et al., Stable LM 2 1.6B Technical Report, arXiv:2402.17834.
"""
import dataclasses
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import fields as fields_lib
from lmjax.models import decoder
from lmjax.nn import layers
from lmjax.nn.residual import parallel


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.default(partial_rotary_factor=0.25, max_position_embeddings=4096)
  fields.expect('qk_layernorm', False)
  config = llama.read(fields, names)
  norm = layers.LayerNorm(fields.number('layer_norm_eps', 1e-5))
  block = dataclasses.replace(
      config.block, norm=norm, dropout=fields.number('hidden_dropout', 0.0),
      mixer=dataclasses.replace(
          config.block.mixer, bias=fields.take('use_qkv_bias', False)))
  if fields.take('use_parallel_residual', False):
    block = parallel.Parallel(**vars(block))
  return dataclasses.replace(config, final_norm=norm, block=block)


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  found = llama.descended(config)
  del found['rms_norm_eps'], found['attention_bias']
  return found | {
      'architectures': ['StableLmForCausalLM'],
      'partial_rotary_factor': config.positions.fraction,
      'layer_norm_eps': config.final_norm.epsilon,
      'use_qkv_bias': config.block.mixer.bias,
      'qk_layernorm': False,
      'use_parallel_residual': isinstance(config.block, parallel.Parallel)}


FAMILY = family.Family(
    name='StableLM', model_types=('stablelm',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=llama.table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies)
