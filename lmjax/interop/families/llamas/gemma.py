"""Gemma 1.

References:
  Gemma Team, Gemma: Open Models Based on Gemini Research and Technology,
  arXiv:2403.08295.
"""
import dataclasses
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import fields as fields_lib
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import layers

# Files from before the activation was corrected say 'gelu', but the model was
# trained with the approximation.
_ACTIVATIONS = {name: 'gelu_tanh' for name in (
    'gelu_pytorch_tanh', 'gelu_new', 'gelu')}


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.default(head_dim=256, tie_word_embeddings=True,
                 max_position_embeddings=8192, hidden_act='gelu_pytorch_tanh')
  fields.expect('use_bidirectional_attention', False, None)
  fields.expect('hidden_activation', None, *_ACTIVATIONS)
  activation = fields.choose('hidden_act', _ACTIVATIONS)
  config = llama.read(fields, names)
  norm = layers.RMSNorm(config.final_norm.epsilon, around_one=True)
  mlp = dataclasses.replace(config.block.mlp, activation=activation)
  return dataclasses.replace(
      config, embed=parts.Embed(scale='sqrt_width'), final_norm=norm,
      block=dataclasses.replace(config.block, mlp=mlp, norm=norm))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  found = llama.write(config)
  del found['mlp_bias']  # There never is one.
  return found | {
      'architectures': ['GemmaForCausalLM'],
      'hidden_activation': found['hidden_act']}


FAMILY = family.Family(
    name='Gemma', model_types=('gemma',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=llama.table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies)
