import dataclasses

import numpy as np
import pytest

from lmjax.core import trees
from lmjax.interop.audit import attention
from lmjax.models.presets import decoders
from lmjax.models.presets import parallel_decoders
from lmjax.nn import layers

LLAMA = decoders.llama(24, 1, 6, 2, 32, vocab_size=20, context=8)
GPT2 = decoders.gpt2(24, 1, 6, vocab_size=20, context=8)


def params(config):
  mixer, rng = config.block.mixer, np.random.default_rng(0)
  wide, narrow = mixer.num_heads * 4, mixer.kv_heads * 4
  shapes = {'query/kernel': (24, wide), 'query/bias': (wide,),
            'key/kernel': (24, narrow), 'key/bias': (narrow,),
            'value/kernel': (24, narrow), 'value/bias': (narrow,),
            'out/kernel': (wide, 24), 'out/bias': (24,)}
  return trees.nested(
      (f'layer_0/mixer/{name}', rng.normal(size=shape).astype(np.float32))
      for name, shape in shapes.items())


def whole(name, config, given):
  function, = [each for each in attention.WHOLE if each.__name__ == name]
  return list(function(config, given))


def same(first, second):
  return all(np.array_equal(x, y) for (_, x), (_, y) in zip(
      trees.items(first), trees.items(second), strict=True))


@pytest.mark.parametrize('name, config', [
    ('_grouped', LLAMA), ('_fused', GPT2)])
def test_orders_of_heads_undo_each_other(name, config):
  given = params(config)
  for first, second in ((0, 1), (1, 0)):
    _, _, _, changed = whole(name, config, given)[first]
    assert not same(changed, given)
    assert same(whole(name, config, changed)[second][3], given)


def test_groups_take_every_second_head():
  given = params(LLAMA)
  given['layer_0']['mixer']['query']['bias'] = np.repeat(np.arange(6), 4)
  _, what, _, changed = whole('_grouped', LLAMA, given)[0]
  assert changed['layer_0']['mixer']['query']['bias'][::4].tolist() == [
      0, 2, 4, 1, 3, 5]
  assert what == 'query heads 0, 2, 4 for the first key head'


def test_single_key_heads_have_no_order_of_groups():
  one = dataclasses.replace(LLAMA, block=dataclasses.replace(
      LLAMA.block, mixer=dataclasses.replace(
          LLAMA.block.mixer, num_kv_heads=1)))
  assert not whole('_grouped', one, params(one))
  assert not whole('_grouped', GPT2, params(GPT2))


def test_exchanged_projections_are_exchanged_whole():
  given = params(GPT2)
  changed = {what: read for _, what, _, read in whole(
      '_swapped', GPT2, given)}['query and key exchanged']
  mixer = changed['layer_0']['mixer']
  assert mixer['query'] is not mixer['key']
  assert same(mixer['query'], given['layer_0']['mixer']['key'])
  assert same(mixer['key'], given['layer_0']['mixer']['query'])


def fields(part, length=64):
  return {field for field, _ in attention.READINGS[type(part)](
      part, LLAMA, length)}


def test_norms_of_heads_fix_the_number_of_heads():
  part = LLAMA.block.mixer
  assert 'num_heads' in fields(part)
  assert 'num_heads' not in fields(dataclasses.replace(
      part, qk_norm=layers.RMSNorm()))


def test_other_numbers_of_heads_keep_the_projections():
  for field, changed in attention.READINGS[type(LLAMA.block.mixer)](
      LLAMA.block.mixer, LLAMA, 64):
    if field == 'num_heads':
      assert changed.num_heads * changed.size(24) == 24
      assert changed.kv_heads * changed.size(24) == 8


def test_windows_beyond_the_text_are_left_out():
  assert list(attention.windows(40, 64)) == [None, 20, 10, 5]
  assert list(attention.windows(4096, 64)) == [32, 16, 8]


def test_windows_are_wrong_by_up_to_eight():
  assert list(attention.windows(16, 129)) == [None, 8, 4, 2, 32, 64, 128]
  assert list(attention.windows(3, 12)) == [None, 1, 6]


@pytest.mark.parametrize('count, read', [(6, 3), (6, 12), (12, 6)])
def test_other_heads_divide_a_matrix_by_head_anew(count, read):
  def model(heads):
    return decoders.gpt2(24, 1, heads, vocab_size=20, context=8)

  def split(file, heads):  # As a file of BLOOM is read, head by head.
    size = 24 // heads
    return {name: {'kernel': np.concatenate(
        [file[:, (3 * head + part) * size:(3 * head + part + 1) * size]
         for head in range(heads)], axis=1)}
            for part, name in enumerate(('query', 'key', 'value'))}
  file = np.random.default_rng(0).normal(size=(24, 72)).astype(np.float32)
  found = {what: (config, params) for _, what, config, params in whole(
      '_fused', model(count), {'layer_0': {'mixer': split(file, count)}})}
  config, params = found[f'{read}, divided head by head']
  assert config.block.mixer.num_heads == read == config.block.mixer.kv_heads
  assert same(params, {'layer_0': {'mixer': split(file, read)}})


def test_other_heads_may_turn_as_many_dimensions_as_before():
  config = parallel_decoders.gptj(32, 1, 4, turned=4)
  found = whole('_turned', config, None)
  assert [(each.block.mixer.num_heads, each.block.mixer.size(32),
           each.positions.fraction) for _, _, each, _ in found] == [
               (8, 4, 1.0), (2, 16, 0.25)]
  assert found[1][:2] == (
      'block.mixer.num_heads', '2, each with 4 dimensions turned')
  assert not whole('_turned', LLAMA, None)


def test_heads_that_are_turned_whole_may_be_half_as_many_in_gptj():
  # As GPT-J with 2 heads of size 8 is read where its config.json says 4 heads.
  config = parallel_decoders.gptj(16, 1, 4, turned=4)
  (_, what, changed, _), = whole('_turned', config, None)
  assert what == '2, each with 4 dimensions turned'
  assert changed.positions.fraction == 0.5
  assert changed.block.mixer.num_heads == 2
