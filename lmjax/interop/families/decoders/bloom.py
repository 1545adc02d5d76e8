"""BLOOM: GPT-2 with ALiBi, and with a norm on the embeddings.

References:
  Le Scao et al., BLOOM, arXiv:2211.05100.
"""
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import operations
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions

CONTEXT = 2048  # ALiBi has no longest text; this is the length in training.


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  del names  # There is one head.
  fields.alias(n_embed='hidden_size', num_attention_heads='n_head',
               num_hidden_layers='n_layer')
  fields.expect('apply_residual_connection_post_layernorm', False)
  width = fields.whole('hidden_size')
  fields.expect('n_inner', 4 * width, None)
  norm = layers.LayerNorm(epsilon=fields.number('layer_norm_epsilon', 1e-5))
  return decoder.DecoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('seq_length', CONTEXT),
      width=width,
      num_layers=fields.whole('n_layer'),
      positions=positions.Alibi(),
      embed=parts.Embed(norm=norm),
      head=parts.Head(tied=fields.take('tie_word_embeddings', True)),
      block=block.PreNorm(
          mixer=attention.AttentionConfig(
              num_heads=fields.whole('n_head'),
              dropout=fields.number('attention_dropout', 0.0)),
          mlp=layers.MLPConfig(hidden=4 * width, activation='gelu_tanh'),
          norm=norm, dropout=fields.number('hidden_dropout', 0.0)),
      final_norm=norm)


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer = config.block.mixer
  return {
      'architectures': ['BloomForCausalLM'],
      'vocab_size': config.vocab_size,
      'seq_length': config.context,
      'hidden_size': config.width,
      'n_layer': config.num_layers,
      'n_head': mixer.num_heads,
      'layer_norm_epsilon': config.final_norm.epsilon,
      'hidden_dropout': config.block.dropout,
      'attention_dropout': mixer.dropout,
      'tie_word_embeddings': config.head.tied}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  split = operations.SplitHeads(config.block.mixer.num_heads)
  return [
      rows.row('embed/embedding', 'transformer.word_embeddings.weight'),
      *rows.norm('embed_norm', 'transformer.word_embeddings_layernorm'),
      *rows.each(config.num_layers, 'layer_{i}/', 'transformer.h.{i}.', [
          *rows.norm('mixer_norm', 'input_layernorm'),
          *rows.fused(('mixer/query', 'mixer/key', 'mixer/value'),
                      'self_attention.query_key_value', split),
          *rows.dense('mixer/out', 'self_attention.dense'),
          *rows.norm('mlp_norm', 'post_attention_layernorm'),
          *rows.dense('mlp/in', 'mlp.dense_h_to_4h'),
          *rows.dense('mlp/out', 'mlp.dense_4h_to_h'),
      ]),
      *rows.norm('final_norm', 'transformer.ln_f'),
      *rows.dense('head', 'lm_head'),
  ]


FAMILY = family.Family(
    name='BLOOM', model_types=('bloom',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='transformer.',
    copies={'lm_head.weight': 'transformer.word_embeddings.weight'},
    ignorable=(
        'is_decoder',
        # How products are divided and fused in training and on what devices.
        'pretraining_tp', 'slow_but_exact', 'bias_dropout_fusion',
        'masked_softmax_fusion', 'attention_softmax_in_fp32', 'skip_bias_add',
        'skip_bias_add_qkv',
        'offset_alibi'))  # Softmax does not change if all logits do.
