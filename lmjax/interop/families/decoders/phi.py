"""Phi 1, 1.5 and 2: parallel branches with one norm, and biases everywhere.

References:
  Gunasekar et al., Textbooks Are All You Need, arXiv:2306.11644; Javaheripi and
  Bubeck, Phi-2, 2023.
"""
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rope
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import layers
from lmjax.nn.residual import parallel


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  del names  # There is one head.
  if not fields.take('rope_parameters', {}, dict):
    fields.default(partial_rotary_factor=0.5)
  norm = layers.LayerNorm(epsilon=fields.number('layer_norm_eps', 1e-5))
  return decoder.DecoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('max_position_embeddings', 2048),
      width=fields.whole('hidden_size'),
      num_layers=fields.whole('num_hidden_layers'),
      positions=rope.read(fields),
      embed=parts.Embed(dropout=fields.number('embd_pdrop', 0.0)),
      head=parts.Head(
          tied=fields.take('tie_word_embeddings', False), bias=True),
      block=parallel.Parallel(
          mixer=attention.AttentionConfig(
              num_heads=fields.whole('num_attention_heads'),
              num_kv_heads=fields.whole('num_key_value_heads', None),
              qk_norm=norm if fields.take('qk_layernorm', False) else None,
              dropout=fields.number('attention_dropout', 0.0)),
          mlp=layers.MLPConfig(
              hidden=fields.whole('intermediate_size'),
              activation=fields.choose(
                  'hidden_act', activations.BY_NAME, 'gelu_new')),
          norm=norm, dropout=fields.number('resid_pdrop', 0.0)),
      final_norm=norm)


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer, mlp = config.block.mixer, config.block.mlp
  return {
      'architectures': ['PhiForCausalLM'],
      'vocab_size': config.vocab_size,
      'max_position_embeddings': config.context,
      'hidden_size': config.width,
      'num_hidden_layers': config.num_layers,
      'num_attention_heads': mixer.num_heads,
      'num_key_value_heads': mixer.kv_heads,
      'intermediate_size': mlp.hidden,
      'hidden_act': activations.name(mlp.activation, 'gelu_new'),
      'layer_norm_eps': config.final_norm.epsilon,
      'qk_layernorm': mixer.qk_norm is not None,
      'resid_pdrop': config.block.dropout,
      'embd_pdrop': config.embed.dropout,
      'attention_dropout': mixer.dropout,
      'tie_word_embeddings': config.head.tied,
      **rope.write(config.positions),
      'partial_rotary_factor': config.positions.fraction}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  return [
      rows.row('embed/embedding', 'model.embed_tokens.weight'),
      *rows.each(config.num_layers, 'layer_{i}/', 'model.layers.{i}.', [
          *rows.norm('mixer_norm', 'input_layernorm'),
          *rows.dense('mixer/query', 'self_attn.q_proj'),
          *rows.dense('mixer/key', 'self_attn.k_proj'),
          *rows.dense('mixer/value', 'self_attn.v_proj'),
          *rows.norm('mixer/query_norm', 'self_attn.q_layernorm'),
          *rows.norm('mixer/key_norm', 'self_attn.k_layernorm'),
          *rows.dense('mixer/out', 'self_attn.dense'),
          *rows.dense('mlp/in', 'mlp.fc1'),
          *rows.dense('mlp/out', 'mlp.fc2'),
      ]),
      *rows.norm('final_norm', 'model.final_layernorm'),
      *rows.dense('head', 'lm_head'),
  ]


FAMILY = family.Family(
    name='Phi', model_types=('phi',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='model.',
    ignored=(r'.*\.rotary_emb\.inv_freq',),
    copies={'lm_head.weight': 'model.embed_tokens.weight'},
    ignorable=('is_decoder',))
