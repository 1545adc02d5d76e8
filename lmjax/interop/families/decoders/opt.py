"""OPT: GPT-2 with ReLU, and with norms after the branches in one size.

References:
  Zhang et al., OPT, arXiv:2205.01068.
"""
from typing import Any

from lmjax.core import errors
from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  del names  # There is one head.
  fields.expect('layer_norm_elementwise_affine', True)
  fields.expect('learned_embeddings', True)  # Of Galactica, as the next.
  fields.expect('scale_embeddings', False)
  width = fields.whole('hidden_size')
  size = fields.whole('word_embed_proj_dim', width)
  tied = fields.take('tie_word_embeddings', True)
  if size != width and not tied:
    raise errors.InputError(
        f'config.json: word_embed_proj_dim is {size} and hidden_size is '
        f'{width}, which needs tie_word_embeddings to be true.')
  bias = fields.take('enable_bias', True)
  before = fields.take('do_layer_norm_before', True)
  removed = fields.take('_remove_final_layer_norm', False)
  norm = layers.LayerNorm(epsilon=1e-5)
  dropout = fields.number('dropout', 0.1)
  return decoder.DecoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('max_position_embeddings', 2048),
      width=width,
      num_layers=fields.whole('num_hidden_layers'),
      positions=positions.Learned(offset=2),
      embed=parts.Embed() if size == width else parts.Embed(
          size=size, widen='first', widen_bias=False),
      head=parts.Head(tied=tied),
      block=(block.PreNorm if before else block.PostNorm)(
          mixer=attention.AttentionConfig(
              num_heads=fields.whole('num_attention_heads'), bias=bias,
              out_bias=bias, dropout=fields.number('attention_dropout', 0.0)),
          mlp=layers.MLPConfig(
              hidden=fields.whole('ffn_dim'), bias=bias,
              activation=fields.choose(
                  'activation_function', activations.BY_NAME, 'relu')),
          norm=norm, dropout=dropout),
      final_norm=norm if before and not removed else None)


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer, mlp = config.block.mixer, config.block.mlp
  before = config.block.module() is block.PreNormBlock
  return {
      'architectures': ['OPTForCausalLM'],
      'vocab_size': config.vocab_size,
      'max_position_embeddings': config.context,
      'hidden_size': config.width,
      'word_embed_proj_dim': config.embed.table_size(config.width),
      'num_hidden_layers': config.num_layers,
      'num_attention_heads': mixer.num_heads,
      'ffn_dim': mlp.hidden,
      'activation_function': activations.name(mlp.activation),
      'enable_bias': mixer.bias,
      'do_layer_norm_before': before,
      '_remove_final_layer_norm': before and config.final_norm is None,
      'dropout': config.block.dropout,
      'attention_dropout': mixer.dropout,
      'tie_word_embeddings': config.head.tied}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  base = 'model.decoder.'
  return [
      rows.row('embed/embedding', f'{base}embed_tokens.weight'),
      rows.row('positions/embedding', f'{base}embed_positions.weight'),
      *rows.dense('widen', f'{base}project_in'),
      *rows.each(config.num_layers, 'layer_{i}/', base + 'layers.{i}.', [
          *rows.norm('mixer_norm', 'self_attn_layer_norm'),
          *rows.dense('mixer/query', 'self_attn.q_proj'),
          *rows.dense('mixer/key', 'self_attn.k_proj'),
          *rows.dense('mixer/value', 'self_attn.v_proj'),
          *rows.dense('mixer/out', 'self_attn.out_proj'),
          *rows.norm('mlp_norm', 'final_layer_norm'),
          *rows.dense('mlp/in', 'fc1'),
          *rows.dense('mlp/out', 'fc2'),
      ]),
      *rows.norm('final_norm', f'{base}final_layer_norm'),
      *rows.dense('head/narrow', f'{base}project_out'),
      *rows.dense('head', 'lm_head'),
  ]


FAMILY = family.Family(
    name='OPT', model_types=('opt',), kind=decoder.DecoderConfig,
    read=read, write=write, rows=table, base='model.',
    copies={'lm_head.weight': 'model.decoder.embed_tokens.weight'},
    ignorable=(
        'is_decoder', 'init_std',
        # Of the first files; they never had an effect.
        'activation_dropout', 'output_projection'))
