"""Gemma 2.

References:
  Gemma Team, Gemma 2: Improving Open Language Models at a Practical Size,
  arXiv:2408.00118.
"""
import dataclasses
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import layer_types
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import layers
from lmjax.nn import positions as positions_lib
from lmjax.nn.residual import branch_norm

LAYER = llama.ATTENTION + llama.HEAD_NORMS + llama.MLP + [
    *rows.norm('mixer_norm', 'input_layernorm'),
    *rows.norm('mixer_out_norm', 'post_attention_layernorm'),
    *rows.norm('mlp_norm', 'pre_feedforward_layernorm'),
    *rows.norm('mlp_out_norm', 'post_feedforward_layernorm'),
]


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.default(attn_logit_softcapping=50.0, final_logit_softcapping=30.0,
                 sliding_window=4096, max_position_embeddings=8192)
  config = sandwiched(fields, names)
  window = fields.whole('sliding_window')
  fields.expect('sliding_window_size', None, window)  # Its first name.
  types = fields.take('layer_types', layer_types.every(2, config.num_layers))
  return layer_types.local_global(config, types, window, period=2)


def sandwiched(fields: fields_lib.Fields, names,
               positions: positions_lib.Rotary | None = None
               ) -> decoder.DecoderConfig:
  """Returns what the configs of Gemma 2 and Gemma 3 share; see `llama.read`."""
  fields.default(head_dim=256, tie_word_embeddings=True,
                 query_pre_attn_scalar=256,
                 hidden_activation='gelu_pytorch_tanh')
  fields.expect('use_bidirectional_attention', False, None)
  activation = fields.choose('hidden_activation', activations.BY_NAME)
  config = llama.read(fields, names, positions)
  norm = layers.RMSNorm(config.final_norm.epsilon, around_one=True)
  mixer, mlp = config.block.mixer, config.block.mlp
  scalar = fields.number('query_pre_attn_scalar')
  return dataclasses.replace(
      config, embed=parts.Embed(scale='sqrt_width'), final_norm=norm,
      head=dataclasses.replace(
          config.head, softcap=fields.number('final_logit_softcapping', None)),
      block=branch_norm.BranchNorm(
          mixer=dataclasses.replace(
              mixer, softcap=fields.number('attn_logit_softcapping', None),
              scale=None if scalar == mixer.head_size else scalar ** -0.5),
          mlp=dataclasses.replace(mlp, activation=activation),
          before=norm, after=norm))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer = config.block.mixer
  types, window = layer_types.written(config)
  found = llama.write(config)
  del found['mlp_bias']  # There never is one.
  return found | {
      'architectures': ['Gemma2ForCausalLM'],
      'hidden_activation': found['hidden_act'],
      'query_pre_attn_scalar': (
          mixer.size(config.width) if mixer.scale is None
          else round(mixer.scale ** -2)),
      'attn_logit_softcapping': mixer.softcap,
      'final_logit_softcapping': config.head.softcap,
      'sliding_window': window or config.context,
      'layer_types': types}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  return llama.around(config, LAYER)


FAMILY = family.Family(
    name='Gemma 2', model_types=('gemma2',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='model.',
    ignored=llama.FAMILY.ignored, copies=llama.FAMILY.copies,
    # Which cache generation has, which does not change its result.
    ignorable=('cache_implementation',))
