"""Gemma 3: the text models, and the text part of those that read images.

References:
  Gemma Team, Gemma 3 Technical Report, arXiv:2503.19786.
"""
from collections.abc import Mapping
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.interop.families import family
from lmjax.interop.families.llamas import gemma2
from lmjax.interop.families.llamas import llama
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import layer_types
from lmjax.interop.mapping import rope
from lmjax.interop.mapping import rows
from lmjax.models import decoder
from lmjax.nn import pattern
from lmjax.nn import positions

_TEXT = {  # Published files leave out the fields that have these values.
    'vocab_size': 262_208, 'hidden_size': 2304, 'intermediate_size': 9216,
    'num_hidden_layers': 26, 'num_attention_heads': 8,
    'num_key_value_heads': 4, 'max_position_embeddings': 131_072,
    'sliding_window': 4096, 'rms_norm_eps': 1e-6}


def read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the lmjax config; see `Family.read`."""
  if fields.has('text_config'):
    return _text_part(fields, names)
  return _read(fields, names)


def _text_part(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the config of the text part of a model that reads images."""
  text = fields.inner('text_config')
  text.expect('model_type', 'gemma3_text')
  tied = fields.take('tie_word_embeddings', True)
  text.default(**_TEXT, tie_word_embeddings=tied)
  text.expect('tie_word_embeddings', tied)
  config = _read(text, names)
  text.finish(_IGNORABLE)
  return config


def _read(fields: fields_lib.Fields, names) -> decoder.DecoderConfig:
  """Returns the config that the fields of a text model describe."""
  whole, local = _positions(fields)
  fields.default(sliding_window=4096)
  fields.expect('attn_logit_softcapping', None)
  config = gemma2.sandwiched(fields, names, whole)
  block = dataclasses.replace(config.block, mixer=dataclasses.replace(
      config.block.mixer, qk_norm=config.final_norm))
  period = fields.whole(
      'sliding_window_pattern', fields.whole('_sliding_window_pattern', 6))
  if period < 1:
    raise errors.InputError(
        'config.json: sliding_window_pattern should be at least 1; got '
        f'{period}.')
  types = fields.take(
      'layer_types', layer_types.every(period, config.num_layers))
  return layer_types.local_global(
      dataclasses.replace(config, block=block), types,
      fields.whole('sliding_window'), period, local)


def _positions(fields: fields_lib.Fields
               ) -> tuple[positions.Rotary, positions.Rotary]:
  """Returns the positions of global layers and of local ones."""
  new = fields.take('rope_parameters', {}, dict)
  if new.keys() - {layer_types.FULL, layer_types.SLIDING}:
    raise errors.InputError(
        'config.json: rope_parameters of a Gemma 3 should have an object for '
        f'{layer_types.FULL} and one for {layer_types.SLIDING}; got '
        f'{", ".join(map(str, new))}.')

  def rotary(kind, theta, old):
    each = fields_lib.Fields({'rope_parameters': new.get(kind), **old})
    found = rope.read(each, theta=theta)
    each.finish()
    return found

  return (
      rotary(layer_types.FULL, 1_000_000.0, {
          'rope_theta': fields.number('rope_theta', None),
          'rope_scaling': fields.take('rope_scaling', None, dict)}),
      rotary(layer_types.SLIDING, 10_000.0, {
          'rope_theta': fields.number('rope_local_base_freq', None)}))


def write(config: decoder.DecoderConfig) -> dict[str, Any]:
  """Returns the fields of the config.json; see `Family.write`."""
  local = next((layer.positions for layer in config.arrangement.layers
                if layer.block.mixer.window is not None), positions.Rotary())
  local, whole = rope.write(local), rope.write(config.positions)
  # Where all layers are local, the usual period of 6 could stand for them too.
  period = config.pattern.every if isinstance(
      config.pattern, pattern.LocalGlobal) else 1
  return gemma2.write(config) | whole | {
      'architectures': ['Gemma3ForCausalLM'],
      'rope_local_base_freq': local['rope_theta'],
      'rope_parameters': {layer_types.FULL: whole['rope_parameters'],
                          layer_types.SLIDING: local['rope_parameters']},
      'sliding_window_pattern': period}


def table(config: decoder.DecoderConfig) -> list[rows.Row]:
  """Returns the rows of the tensors; see `Family.rows`."""
  return [row for base in _BASES
          for row in llama.around(config, gemma2.LAYER, base)]


_BASES = ('model.', 'language_model.model.', 'model.language_model.')
_COPIES: Mapping[str, str] = {
    'lm_head.weight': 'model.embed_tokens.weight',
    'language_model.lm_head.weight': 'language_model.model.embed_tokens.weight'}
_IGNORABLE = ('cache_implementation',)
FAMILY = family.Family(
    name='Gemma 3', model_types=('gemma3_text', 'gemma3'),
    kind=decoder.DecoderConfig, read=read, write=write, rows=table,
    base='model.', copies=_COPIES,
    ignored=(*llama.FAMILY.ignored, r'(model\.)?vision_tower\..*',
             r'(model\.)?multi_modal_projector\..*'),
    ignorable=(*_IGNORABLE, 'vision_config', 'mm_tokens_per_image',
               'boi_token_index', 'eoi_token_index', 'image_token_index'))
