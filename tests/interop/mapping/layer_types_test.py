"""Lists of layer types become patterns, and patterns become lists again."""
import dataclasses

import pytest

from lmjax.core import errors
from lmjax.interop.mapping import layer_types
from lmjax.models import decoder
from lmjax.models.presets import lookup
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import pattern
from lmjax.nn import positions

NAMES = {'f': layer_types.FULL, 's': layer_types.SLIDING}


def config(types):
  return layer_types.windowed(
      decoder.DecoderConfig(num_layers=len(types)),
      [NAMES[each] for each in types], 8)


@pytest.mark.parametrize('types, first, period', [
    ('fffss', 3, 1), ('fsfsf', 0, 2), ('ssf', 0, 3), ('ssfssf', 0, 3),
    ('ffsfs', 1, 2)])
def test_the_shortest_pattern_is_found(types, first, period):
  found = config(types)
  assert [len(found.pattern.first), len(found.pattern.period)] == [
      first, period]
  assert layer_types.written(found) == ([NAMES[each] for each in types], 8)


def test_layers_that_are_alike_need_no_pattern():
  assert config('fff').pattern is config('sss').pattern is None
  assert config('sss').block.mixer.window == 8
  assert layer_types.written(config('ff')) == ([layer_types.FULL] * 2, None)


@pytest.mark.parametrize('types', [
    ['full_attention'], ['full_attention', 'chunked_attention']])
def test_types_that_are_unknown_or_too_few_are_refused(types):
  with pytest.raises(errors.InputError, match='each of the 2 layers'):
    layer_types.windowed(decoder.DecoderConfig(num_layers=2), types, 8)


LOCAL = positions.Rotary(theta=500.0)


@pytest.mark.parametrize('own', [None, LOCAL])
@pytest.mark.parametrize('types', [
    'ffff', 'ssss', 'sfsf', 'sssssfss', 'fssf', 'sffsffs', 's', 'ssffsfs'])
def test_each_layer_is_of_its_type(types, own):
  plain = decoder.DecoderConfig(num_layers=len(types))
  names = [NAMES[each] for each in types]
  found = layer_types.local_global(plain, names, 8, 6, own)
  assert layer_types.written(found)[0] == names
  for letter, layer in zip(types, found.arrangement.layers):
    assert layer.positions == (
        own if own and letter == 's' else plain.positions)


def test_the_pattern_of_local_and_global_layers_is_recognised():
  def pattern_of(types):
    return layer_types.local_global(
        decoder.DecoderConfig(num_layers=len(types)),
        [NAMES[each] for each in types], 8, 6).pattern
  assert pattern_of('sssfs') == pattern.LocalGlobal(8, every=4)
  assert pattern_of('sss') == pattern.LocalGlobal(8, every=6)
  assert isinstance(pattern_of('fsfs'), pattern.Periodic)
  assert pattern_of('ff') is None


def test_two_windows_are_refused():
  found = config('fs')
  wide = block.PreNorm(mixer=attention.AttentionConfig(window=9))
  with pytest.raises(errors.InputError, match='8, 9'):
    layer_types.written(dataclasses.replace(found, block=wide))


def test_a_pattern_of_another_kind_is_written_too():
  types, window = layer_types.written(lookup.named('gemma2_2b'))
  assert window == 4096 and types[:2] == [
      layer_types.SLIDING, layer_types.FULL]
