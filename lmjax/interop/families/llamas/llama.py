"""Llama 1 to 3.x, and models that differ from it in numbers only.

References:
  Touvron et al., LLaMA, arXiv:2302.13971; Llama Team, The Llama 3 Herd of
  Models, arXiv:2407.21783.
"""
from collections.abc import Sequence
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rope
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions as positions_lib


def read(fields: fields_lib.Fields, names,
         positions: positions_lib.Rotary | None = None
         ) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`.

  Args:
    fields: The fields of the config.json.
    names: The names of the tensors.
    positions: The positions, if a descendant of Llama describes them in another
      way.
  """
  del names  # There is one head.
  fields.expect('pretraining_tp', 1, *range(2, 9))  # The result is the same.
  fields.expect('activation', 'swiglu')  # Of Falcon 3: what a Llama has.
  fields.expect('rope_interleaved', False)
  norm = layers.RMSNorm(epsilon=fields.number('rms_norm_eps', 1e-6))
  bias = fields.take('attention_bias', False)
  return decoder.DecoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('max_position_embeddings', 2048),
      width=fields.whole('hidden_size'),
      num_layers=fields.whole('num_hidden_layers'),
      positions=positions or rope.read(fields),
      head=parts.Head(tied=fields.take('tie_word_embeddings', False)),
      block=block.PreNorm(
          mixer=attention.AttentionConfig(
              num_heads=fields.whole('num_attention_heads'),
              num_kv_heads=fields.whole('num_key_value_heads', None),
              head_size=fields.whole('head_dim', None),
              bias=bias, out_bias=bias,
              dropout=fields.number('attention_dropout', 0.0)),
          mlp=layers.MLPConfig(
              hidden=fields.whole('intermediate_size'),
              activation=fields.choose(
                  'hidden_act', activations.BY_NAME, 'silu'),
              gated=True, bias=fields.take('mlp_bias', False)),
          norm=norm),
      final_norm=norm)


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer, mlp = config.block.mixer, config.block.mlp
  return {
      'architectures': ['LlamaForCausalLM'],
      'vocab_size': config.vocab_size,
      'max_position_embeddings': config.context,
      'hidden_size': config.width,
      'num_hidden_layers': config.num_layers,
      'intermediate_size': mlp.hidden,
      'num_attention_heads': mixer.num_heads,
      'num_key_value_heads': mixer.kv_heads,
      'head_dim': mixer.size(config.width),
      'hidden_act': activations.name(mlp.activation),
      'rms_norm_eps': config.final_norm.epsilon,
      'attention_bias': mixer.bias,
      'mlp_bias': mlp.bias,
      'tie_word_embeddings': config.head.tied,
      **rope.write(config.positions)}


def descended(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields that descendants of Llama have, too.

  They have no biases in MLPs, and most leave out the usual size of heads.
  """
  found = write(config)
  del found['mlp_bias']
  if config.block.mixer.head_size is None:
    del found['head_dim']
  return found


# The rows of a layer's attention and MLP, which descendants of Llama share.
ATTENTION = [
    *rows.dense('mixer/query', 'self_attn.q_proj'),
    *rows.dense('mixer/key', 'self_attn.k_proj'),
    *rows.dense('mixer/value', 'self_attn.v_proj'),
    *rows.dense('mixer/out', 'self_attn.o_proj'),
]
HEAD_NORMS = [
    *rows.norm('mixer/query_norm', 'self_attn.q_norm'),
    *rows.norm('mixer/key_norm', 'self_attn.k_norm'),
]
MLP = [
    *rows.dense('mlp/in', 'mlp.gate_proj'),  # The activated one.
    *rows.dense('mlp/gate', 'mlp.up_proj'),
    *rows.dense('mlp/out', 'mlp.down_proj'),
]
NORMS = [
    *rows.norm('mixer_norm', 'input_layernorm'),
    *rows.norm('mlp_norm', 'post_attention_layernorm'),
]


def around(config: decoder.DecoderConfig, layer: Sequence[rows.Row],
           base: str = 'model.') -> list[rows.Row]:
  """Returns the rows of a whole model.

  Args:
    config: The config of the model.
    layer: The rows of one layer.
    base: The prefix of the tensors.
  """
  return [
      rows.row('embed/embedding', f'{base}embed_tokens.weight'),
      *rows.each(config.num_layers, 'layer_{i}/', f'{base}layers.{{i}}.',
                 layer),
      *rows.norm('final_norm', f'{base}norm'),
      *rows.dense('head', 'lm_head'),
  ]


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  return around(config, NORMS + ATTENTION + MLP)


FAMILY = family.Family(
    name='Llama', model_types=('llama',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='model.',
    ignored=(r'.*\.rotary_emb\.inv_freq',),
    copies={'lm_head.weight': 'model.embed_tokens.weight'},
    # Of files that were converted by other programs; the model does not use
    # them, but `max_position_embeddings`.
    ignorable=('is_llama_config', 'max_sequence_length'))
