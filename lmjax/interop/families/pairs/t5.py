"""T5, T5 1.1 and mT5: encoder-decoders with a bias for distances.

References:
  Raffel et al., T5, arXiv:1910.10683; Xue et al., mT5, arXiv:2010.11934.
"""
from collections.abc import Set
from typing import Any

from lmjax.core import errors
from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rows
from lmjax.models import encoder_decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions

# The activation, and whether it is gated. Only 'gated-gelu' is inexact.
_PROJECTIONS = {
    'relu': ('relu', False), 'gated-gelu': ('gelu_tanh', True),
    'gated-silu': ('silu', True), 'gated-relu': ('relu', True),
    'gelu': ('gelu', False), 'gelu_new': ('gelu_tanh', False),
    'silu': ('silu', False), 'gated-gelu_python': ('gelu', True)}


def read(fields: fields_lib.Fields, names: Set[str]
         ) -> encoder_decoder.EncoderDecoderConfig:
  """Returns the lmjax config; see `Family.read`.

  The field `tie_word_embeddings` says whether the input of the head is scaled.
  The head is tied if it is scaled, or if the file has no tensor for it.
  """
  fields.expect('is_encoder_decoder', True)
  fields.expect('is_decoder', False)
  tied = fields.take('tie_word_embeddings', True)
  scaled = fields.take('scale_decoder_outputs', tied)
  if fields.take('model_type', 't5') == 'mt5':
    scaled = False
  if not scaled:
    tied = 'lm_head.weight' not in names if names else tied
  activation, gated = fields.choose('feed_forward_proj', _PROJECTIONS, 'relu')
  fields.expect('is_gated_act', gated)
  if fields.has('dense_act_fn') and fields.choose(
      'dense_act_fn', activations.BY_NAME) != activation:
    raise errors.InputError(
        f'config.json: dense_act_fn is {fields.take("dense_act_fn")!r}, but '
        f'feed_forward_proj is {fields.take("feed_forward_proj")!r}; they '
        'should be the same activation.')
  norm = layers.RMSNorm(epsilon=fields.number('layer_norm_epsilon', 1e-6))
  dropout = fields.number('dropout_rate', 0.1)
  return encoder_decoder.EncoderDecoderConfig(
      vocab_size=fields.whole('vocab_size'),
      # Positions have no limit; older files have the length of pretraining.
      context=fields.whole('n_positions', 512),
      width=fields.whole('d_model'),
      num_layers=fields.whole('num_layers'),
      num_decoder_layers=fields.whole('num_decoder_layers', None),
      positions=positions.Relative(
          fields.whole('relative_attention_num_buckets', 32),
          fields.whole('relative_attention_max_distance', 128)),
      block=block.PreNorm(
          mixer=attention.AttentionConfig(
              num_heads=fields.whole('num_heads'),
              head_size=fields.whole('d_kv'), bias=False, out_bias=False,
              scale=1.0, dropout=dropout),
          mlp=layers.MLPConfig(
              hidden=fields.whole('d_ff'), activation=activation, gated=gated,
              bias=False, dropout=dropout),
          norm=norm, dropout=dropout),
      final_norm=norm, embed=parts.Embed(dropout=dropout, std=1.0),
      head=parts.Head(tied=tied, scale='rsqrt_width' if scaled else 1.0))


def write(config: encoder_decoder.EncoderDecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  mixer, mlp = config.block.mixer, config.block.mlp
  projections = {value: name for name, value in reversed(_PROJECTIONS.items())}
  return {
      'architectures': ['T5ForConditionalGeneration'],
      'is_encoder_decoder': True,
      'vocab_size': config.vocab_size,
      'n_positions': config.context,
      'd_model': config.width,
      'd_kv': mixer.size(config.width),
      'd_ff': mlp.hidden,
      'num_layers': config.num_layers,
      'num_decoder_layers': config.decoder_layers,
      'num_heads': mixer.num_heads,
      'relative_attention_num_buckets': config.positions.num_buckets,
      'relative_attention_max_distance': config.positions.max_distance,
      'feed_forward_proj': projections.get(
          (mlp.activation, mlp.gated), mlp.activation),
      'dropout_rate': config.block.dropout,
      'layer_norm_epsilon': config.final_norm.epsilon,
      'tie_word_embeddings': config.head.scale == 'rsqrt_width',
      'pad_token_id': 0, 'eos_token_id': 1, 'decoder_start_token_id': 0}


def table(config: encoder_decoder.EncoderDecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  found = [rows.row('embed/embedding', 'shared.weight')]
  for side, count in (('encoder', config.num_layers),
                      ('decoder', config.decoder_layers)):
    decodes = side == 'decoder'
    cross = _attention('cross', 'layer.1.EncDecAttention', 'layer.1.layer_norm')
    found += [
        rows.row(f'{side}/positions/embedding', f'{side}.block.0.layer.0.'
                 'SelfAttention.relative_attention_bias.weight'),
        *rows.each(count, f'{side}/layer_{{i}}/', f'{side}.block.{{i}}.', [
            *_attention('mixer', 'layer.0.SelfAttention', 'layer.0.layer_norm'),
            *(cross if decodes else ()),
            *_mlp(f'layer.{2 if decodes else 1}.', config.block.mlp.gated)]),
        *rows.norm(f'{side}/final_norm', f'{side}.final_layer_norm')]
  return found + ([] if config.head.tied else rows.dense('head', 'lm_head'))


def _attention(path, name, norm):
  return [*rows.norm(f'{path}_norm', norm),
          *(row for part in ('query', 'key', 'value', 'out')
            for row in rows.dense(f'{path}/{part}', f'{name}.{part[0]}'))]


def _mlp(name, gated):
  dense = f'{name}DenseReluDense.'
  return [*rows.norm('mlp_norm', f'{name}layer_norm'),
          *rows.dense('mlp/in', f'{dense}wi_0' if gated else f'{dense}wi'),
          *rows.dense('mlp/gate', f'{dense}wi_1'),
          *rows.dense('mlp/out', f'{dense}wo')]


FAMILY = family.Family(
    name='T5', model_types=('t5', 'mt5'),
    kind=encoder_decoder.EncoderDecoderConfig,
    read=read, write=write, rows=table,
    # Of the first files; it was never used.
    ignored=(r'decoder\.block\.0\.layer\.1\.EncDecAttention\.'
             r'relative_attention_bias\.weight',),
    copies={name: 'shared.weight' for name in (
        'encoder.embed_tokens.weight', 'decoder.embed_tokens.weight',
        'lm_head.weight')},
    ignorable=('classifier_dropout',))
