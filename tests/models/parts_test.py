"""Embeddings and heads equal the reference in every family.
"""
import dataclasses

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax.core import trees
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.models import encoder
from lmjax.models import encoder_decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import positions
from lmjax.nn import taps
from lmjax.testing import hot
from tests.reference import ends

WIDTH, EPSILON = 8, 1e-5
NORM = layers.LayerNorm(epsilon=EPSILON)
SIZES = dict(
    vocab_size=11, context=9, width=WIDTH, num_layers=1, block=block.PreNorm(
        mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(8)))
OFFSET = positions.Learned(offset=2)
IDS = np.array([3, 1, 4, 1, 5, 9, 2, 6])
TYPES = np.arange(8) // 3 % 2
# A config, what the reference is told of its embeddings, and of its head.
CASES = {
    'bloom': (decoder.DecoderConfig(
        **SIZES, positions=positions.Alibi(), embed=parts.Embed(norm=NORM)),
              dict(epsilon=EPSILON), dict(tied=True)),
    'opt_350m': (decoder.DecoderConfig(
        **SIZES, positions=OFFSET,
        embed=parts.Embed(size=6, widen='first', widen_bias=False)),
                 dict(widened='first', offset=2), dict(tied=True)),
    'multiplied': (decoder.DecoderConfig(
        **SIZES, embed=parts.Embed(size=6, scale=12.0),
        head=parts.Head(tied=False, bias=True, scale=0.2, softcap=3.0)),
                   dict(widened='last', scale=12.0),
                   dict(tied=False, scale=0.2, softcap=3.0)),
    'encoder': (encoder.EncoderConfig(
        **SIZES, positions=OFFSET, tokens=parts.Head(bias=True, softcap=2.0),
        embed=parts.TypedEmbed(
            size=6, widen='first', scale='sqrt_width', norm=NORM)),
                dict(widened='first', scale=WIDTH ** 0.5, offset=2,
                     types=TYPES, epsilon=EPSILON),
                dict(tied=True, softcap=2.0)),
    'encoder_untied': (encoder.EncoderConfig(
        **SIZES, tokens=parts.TokenHead(tied=False, norm=NORM),
        embed=parts.TypedEmbed(size=6, types=0, norm=None)),
                       dict(widened='last'), dict(tied=False, epsilon=EPSILON)),
    'bart': (encoder_decoder.EncoderDecoderConfig(
        **SIZES, positions=OFFSET, embed=parts.Embed(norm=NORM),
        head=parts.TokenHead(norm=NORM)),
             dict(offset=2, epsilon=EPSILON), dict(tied=True, epsilon=EPSILON)),
    'two_sides': (encoder_decoder.EncoderDecoderConfig(
        **SIZES, positions=positions.Learned(),
        embed=parts.Embed(size=6, scale=3.0),
        head=parts.Head(bias=True, scale='rsqrt_width', softcap=4.0)),
                  dict(widened='last', scale=3.0),
                  dict(tied=True, scale=WIDTH ** -0.5, softcap=4.0)),
}


def params_of(config):
  return hot.hot_params(cost.shapes(config), std=0.5)


@pytest.mark.parametrize('name', CASES)
def test_both_ends_are_the_references(name):
  config, of_embeddings, of_head = CASES[name]
  params, model = jax.device_get(params_of(config)), config.build()
  options = {'types_BT': TYPES[None]} if config.embed.types else {}
  run = jax.jit(taps.capture(model, ['embedding', 'final', 'logits']))
  _, found = run(params, IDS[None], **options)
  sides = [''] if 'embedding' in found else ['encoder', 'decoder']
  for side in sides:
    own, places = (params[side], found[side]) if side else (params, found)
    want = ends.embedded(own, params, IDS, **of_embeddings)
    np.testing.assert_allclose(places['embedding'][0], want, atol=2e-5)
  head = params.get('tokens' if 'tokens' in params else 'head', {})
  want = ends.logits(head, params, places['final'][0], **of_head)
  np.testing.assert_allclose(found['logits'][0], want, atol=5e-5)
  assert want.std() > 0.1


def test_parameters_have_the_names_that_are_api():
  names = {name: {path.rpartition('/')[0] for path, _ in trees.items(
      cost.shapes(config)) if '/layer_0/' not in f'/{path}'}
           for name, (config, _, _) in CASES.items()}
  assert names == {
      'bloom': {'embed', 'embed_norm', 'final_norm'},
      'opt_350m': {'embed', 'positions', 'widen', 'final_norm', 'head/narrow'},
      'multiplied': {'embed', 'positions', 'widen', 'final_norm', 'head'},
      'encoder': {'embed', 'positions', 'types', 'embed_norm', 'widen',
                  'tokens', 'tokens/narrow'},
      'encoder_untied': {'embed', 'positions', 'widen', 'tokens',
                         'tokens/transform', 'tokens/norm'},
      'bart': {'embed', 'head', 'head/transform', 'head/norm'} | {
          f'{side}/{part}' for side in ('encoder', 'decoder')
          for part in ('positions', 'embed_norm', 'final_norm')},
      'two_sides': {'embed', 'head', 'head/narrow'} | {
          f'{side}/{part}' for side in ('encoder', 'decoder')
          for part in ('positions', 'widen', 'final_norm')},
  }
  opt, albert = (cost.shapes(CASES[name][0])
                 for name in ('opt_350m', 'encoder_untied'))
  assert opt['widen'].keys() == opt['head']['narrow'].keys() == {'kernel'}
  assert albert['widen'].keys() == {'kernel', 'bias'}


def test_initial_embeddings_have_a_deviation_of_their_own():
  config = dataclasses.replace(
      CASES['bloom'][0], vocab_size=2000, embed=parts.Embed(std=0.7))
  params = decoder.initial_params(config.build(), 0)
  np.testing.assert_allclose(
      params['embed']['embedding'].std(), 0.7, rtol=0.02)


def test_flags_reach_the_parts_of_every_family():
  changed = overrides.override(decoder.DecoderConfig(), {
      'embed.scale': 'sqrt_width', 'head.kind': 'TokenHead',
      'head.scale': '0.25', 'positions.offset': '2'})
  assert changed == decoder.DecoderConfig(
      embed=parts.Embed(scale='sqrt_width'), head=parts.TokenHead(scale=0.25),
      positions=OFFSET)
  changed = overrides.override(encoder.EncoderConfig(), {
      'embed.types': '3', 'tokens.kind': 'none'})
  assert changed == encoder.EncoderConfig(
      embed=parts.TypedEmbed(types=3), tokens=None)
  with pytest.raises(errors.InputError, match='config.embed.types is not a'):
    overrides.override(decoder.DecoderConfig(), {'embed.types': '2'})


@pytest.mark.parametrize('changes, message', [
    (dict(size=0), 'TypedEmbed.size should be at least 1, or none; got 0'),
    (dict(types=-1), 'TypedEmbed.types should be at least 0; got -1'),
    (dict(dropout=1.0), r'TypedEmbed.dropout .* below 1; got 1.0'),
])
def test_impossible_embeddings_are_refused(changes, message):
  with pytest.raises(errors.InputError, match=message):
    parts.TypedEmbed(**changes)


def test_a_cap_of_zero_is_refused():
  with pytest.raises(errors.InputError, match='TokenHead.softcap .* got 0.0'):
    parts.TokenHead(softcap=0.0)


def test_positions_before_the_first_row_are_refused():
  with pytest.raises(errors.InputError, match='Learned.offset .* got -1'):
    positions.Learned(offset=-1)
