"""Falcon: parallel branches, and one key for all queries or for groups.

There are three kinds of files: 7B, where all heads share one key and value; the
"new decoder architecture" of 40B and 11B, with groups; and RW, with ALiBi, one
key for each head, and branches that are not parallel.

References:
  Almazrouei et al., The Falcon Series, arXiv:2311.16867.
"""
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import operations
from lmjax.interop.mapping import rope
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions
from lmjax.nn.residual import parallel


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  del names  # There is one head.
  fields.alias(n_embed='hidden_size', n_head='num_attention_heads',
               n_head_kv='num_kv_heads', n_layer='num_hidden_layers')
  width = fields.whole('hidden_size')
  bias = fields.take('bias', False)
  mixer = attention.AttentionConfig(
      num_heads=fields.whole('num_attention_heads'),
      num_kv_heads=_kv_heads(fields), bias=bias, out_bias=bias,
      dropout=fields.number('attention_dropout', 0.0))
  turned = rope.read(fields)  # Also taken where it is not used.
  norm = layers.LayerNorm(epsilon=fields.number('layer_norm_epsilon', 1e-5))
  return decoder.DecoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('max_position_embeddings', 2048),
      width=width,
      num_layers=fields.whole('num_hidden_layers'),
      positions=(positions.RoundedAlibi(mixer.size(width) ** -0.5)
                 if fields.take('alibi', False) else turned),
      head=parts.Head(tied=fields.take('tie_word_embeddings', True)),
      block=_block(
          fields, norm=norm, mixer=mixer,
          mlp=layers.MLPConfig(
              hidden=fields.whole('ffn_hidden_size', 4 * width), bias=bias,
              activation=fields.choose(
                  'activation', activations.BY_NAME, 'gelu')),
          dropout=fields.number('hidden_dropout', 0.0)),
      final_norm=norm)


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer, mlp = config.block.mixer, config.block.mlp
  is_parallel = isinstance(config.block, parallel.Parallel)
  two_norms = is_parallel and config.block.mlp_norm is not None
  new = two_norms or mixer.kv_heads not in (1, mixer.num_heads)
  turned = isinstance(config.positions, positions.Rotary)
  return {
      'architectures': ['FalconForCausalLM'],
      'vocab_size': config.vocab_size,
      'max_position_embeddings': config.context,
      'hidden_size': config.width,
      'num_hidden_layers': config.num_layers,
      'num_attention_heads': mixer.num_heads,
      'num_kv_heads': mixer.kv_heads,
      'ffn_hidden_size': mlp.hidden,
      'activation': activations.name(mlp.activation),
      'layer_norm_epsilon': config.final_norm.epsilon,
      'new_decoder_architecture': new,
      'num_ln_in_parallel_attn': (2 if two_norms else 1) if new else None,
      'multi_query': mixer.kv_heads == 1,
      'parallel_attn': is_parallel,
      'alibi': not turned,
      'bias': mixer.bias,
      'hidden_dropout': config.block.dropout,
      'attention_dropout': mixer.dropout,
      'tie_word_embeddings': config.head.tied,
      **(rope.write(config.positions) if turned else {})}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  mixer = config.block.mixer
  split = operations.SplitHeads(
      mixer.kv_heads, mixer.num_heads // mixer.kv_heads)
  is_parallel = isinstance(config.block, parallel.Parallel)
  two_norms = is_parallel and config.block.mlp_norm is not None
  return [
      rows.row('embed/embedding', 'transformer.word_embeddings.weight'),
      *rows.each(config.num_layers, 'layer_{i}/', 'transformer.h.{i}.', [
          *rows.norm(
              'mixer_norm', 'ln_attn' if two_norms else 'input_layernorm'),
          *rows.fused(('mixer/query', 'mixer/key', 'mixer/value'),
                      'self_attention.query_key_value', split),
          *rows.dense('mixer/out', 'self_attention.dense'),
          *rows.norm(
              'mlp_norm', 'ln_mlp' if two_norms else
              'post_attention_layernorm'),
          *rows.dense('mlp/in', 'mlp.dense_h_to_4h'),
          *rows.dense('mlp/out', 'mlp.dense_4h_to_h'),
      ]),
      *rows.norm('final_norm', 'transformer.ln_f'),
      *rows.dense('head', 'lm_head'),
  ]


def _kv_heads(fields: fields_lib.Fields) -> int:
  """Returns the number of key heads, which several fields decide."""
  heads = fields.whole('num_attention_heads')
  found = fields.whole('num_kv_heads', heads)
  one = fields.take('multi_query', True)
  if fields.take('new_decoder_architecture', False):
    return found
  return 1 if one else heads


def _block(fields: fields_lib.Fields, **branches: Any) -> Any:
  """Returns the block with these branches."""
  new = fields.take('new_decoder_architecture', False)
  if new:
    fields.expect('parallel_attn', True)
    fields.expect('num_ln_in_parallel_attn', 2, None, 1)
  else:
    fields.expect('num_ln_in_parallel_attn', None, 1)
  if not fields.take('parallel_attn', True):
    return block.PreNorm(**branches)
  two_norms = new and fields.whole('num_ln_in_parallel_attn', 2) == 2
  return parallel.Parallel(
      **branches, mlp_norm=branches['norm'] if two_norms else None)


FAMILY = family.Family(
    name='Falcon', model_types=('falcon',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='transformer.',
    ignored=(r'.*\.rotary_emb\.inv_freq',),
    copies={'lm_head.weight': 'transformer.word_embeddings.weight'},
    ignorable=(
        'is_decoder', 'ff_factor',  # `ffn_hidden_size` says it.
        'apply_residual_connection_post_layernorm'))  # Not used by the model.
