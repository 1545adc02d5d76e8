"""BART, and what Marian, mBART and Pegasus share with it.

References:
  Lewis et al., BART, arXiv:1910.13461.
"""
from collections.abc import Set
from typing import Any

from lmjax.interop.families import family
from lmjax.interop.mapping import activations
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import operations
from lmjax.interop.mapping import rows
from lmjax.models import encoder_decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions as positions_lib

_EPSILON = 1e-5  # No field has it.
_AROUND = 2  # Positions beyond the context, for the ids around a text.
# How models are trained and distilled, and heads of classifiers.
IGNORABLE = ('encoder_layerdrop', 'decoder_layerdrop', 'init_std',
             'replacing_rate', 'student_encoder_layers',
             'student_decoder_layers', 'classif_dropout', 'classifier_dropout',
             'force_bos_token_to_be_generated')
VERSIONS = (r'(.*\.)?(encoder|decoder)\.version',)  # Of the oldest files.
COPIES = {name: 'model.shared.weight' for name in (
    'model.encoder.embed_tokens.weight', 'model.decoder.embed_tokens.weight',
    'lm_head.weight')}


def style(fields: fields_lib.Fields, names: Set[str],
          positions: positions_lib.Positions, normed: bool,
          before: bool = False) -> encoder_decoder.EncoderDecoderConfig:
  """Returns an encoder-decoder in the style of BART.

  Args:
    fields: The fields of its config.json.
    names: The names of the tensors in the file.
    positions: How positions enter.
    normed: Whether embeddings are normed.
    before: Whether norms are before the branches, and after the last block.
  """
  layer = {name: fields.whole(f'encoder_{name}') for name in (
      'layers', 'ffn_dim', 'attention_heads')}
  for name in ('ffn_dim', 'attention_heads'):  # As in the encoder.
    fields.expect(f'decoder_{name}', layer[name])
  fields.expect('num_hidden_layers', layer['layers'])
  fields.expect('is_encoder_decoder', True)
  fields.expect('is_decoder', False)
  fields.expect('tie_word_embeddings', True)
  fields.expect('normalize_embedding', normed)
  for name in ('normalize_before', 'add_final_layer_norm'):
    fields.expect(name, before)
  for name in ('add_bias_logits', 'do_blenderbot_90_layernorm'):
    fields.expect(name, False)
  norm = layers.LayerNorm(_EPSILON)
  dropout = fields.number('dropout', 0.1)
  return encoder_decoder.EncoderDecoderConfig(
      vocab_size=fields.whole('vocab_size'),
      context=fields.whole('max_position_embeddings', 1024) - _AROUND,
      width=fields.whole('d_model'),
      num_layers=layer['layers'],
      num_decoder_layers=fields.whole('decoder_layers', layer['layers']),
      positions=positions,
      block=(block.PreNorm if before else block.PostNorm)(
          mixer=attention.AttentionConfig(
              num_heads=layer['attention_heads'],
              dropout=fields.number('attention_dropout', 0.0)),
          mlp=layers.MLPConfig(
              hidden=layer['ffn_dim'],
              activation=fields.choose(
                  'activation_function', activations.BY_NAME, 'gelu'),
              dropout=fields.number('activation_dropout', 0.0)),
          norm=norm, dropout=dropout),
      final_norm=norm if before else None,
      embed=parts.Embed(
          norm=norm if normed else None, dropout=dropout,
          scale='sqrt_width' if fields.take('scale_embedding', False) else 1.0),
      head=parts.Head(bias='final_logits_bias' in names))


def described(config: encoder_decoder.EncoderDecoderConfig) -> dict[str, Any]:
  """Returns the fields for an encoder-decoder in the style of BART."""
  mixer, mlp = config.block.mixer, config.block.mlp
  return {
      'is_encoder_decoder': True,
      'vocab_size': config.vocab_size,
      'max_position_embeddings': config.context + _AROUND,
      'd_model': config.width,
      'encoder_layers': config.num_layers,
      'decoder_layers': config.decoder_layers,
      **{f'{side}_{name}': value for side in ('encoder', 'decoder')
         for name, value in (('ffn_dim', mlp.hidden),
                             ('attention_heads', mixer.num_heads))},
      'activation_function': activations.name(mlp.activation),
      'dropout': config.block.dropout,
      'attention_dropout': mixer.dropout,
      'activation_dropout': mlp.dropout,
      'scale_embedding': config.embed.scale == 'sqrt_width',
      'tie_word_embeddings': True}


def table(config: encoder_decoder.EncoderDecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  found = [rows.row('embed/embedding', 'model.shared.weight')]
  for side, count in (('encoder', config.num_layers),
                      ('decoder', config.decoder_layers)):
    found += [
        rows.row(f'{side}/positions/embedding',
                 f'model.{side}.embed_positions.weight'),
        *rows.norm(f'{side}/embed_norm', f'model.{side}.layernorm_embedding'),
        *rows.norm(f'{side}/final_norm', f'model.{side}.layer_norm'),
        *rows.each(
            count, f'{side}/layer_{{i}}/', f'model.{side}.layers.{{i}}.', [
                *_attention('mixer', 'self_attn'),
                *(_attention('cross', 'encoder_attn') if side == 'decoder'
                  else ()),
                *rows.dense('mlp/in', 'fc1'),
                *rows.dense('mlp/out', 'fc2'),
                *rows.norm('mlp_norm', 'final_layer_norm')])]
  if config.head.bias:
    vocab_size = config.vocab_size
    found.append(rows.row('head/bias', 'final_logits_bias', operations.Reshape(
        (1, vocab_size), (vocab_size,))))
  return found


def _attention(path, name):
  return [*rows.dense(f'{path}/query', f'{name}.q_proj'),
          *rows.dense(f'{path}/key', f'{name}.k_proj'),
          *rows.dense(f'{path}/value', f'{name}.v_proj'),
          *rows.dense(f'{path}/out', f'{name}.out_proj'),
          *rows.norm(f'{path}_norm', f'{name}_layer_norm')]


def read(fields: fields_lib.Fields, names: Set[str]
         ) -> encoder_decoder.EncoderDecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  fields.expect('static_position_embeddings', False)
  fields.expect('extra_pos_embeddings', 2)
  return style(fields, names, positions_lib.Learned(offset=2), normed=True)


def write(config: encoder_decoder.EncoderDecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  return {'architectures': ['BartForConditionalGeneration'],
          **described(config)}


FAMILY = family.Family(
    name='BART', model_types=('bart',),
    kind=encoder_decoder.EncoderDecoderConfig,
    read=read, write=write, rows=table, base='model.',
    copies=COPIES, ignored=VERSIONS, ignorable=IGNORABLE)
