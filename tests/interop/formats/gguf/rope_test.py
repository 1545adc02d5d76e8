"""Rotary positions are written and read back, as values or as factors."""
import numpy as np
import pytest

from lmjax.interop.formats import tensors as tensors_lib
from lmjax.interop.formats.gguf import keys as keys_lib
from lmjax.interop.formats.gguf import rope

SIZE = 64
LLAMA3 = {'rope_type': 'llama3', 'factor': 32.0, 'low_freq_factor': 1.0,
          'high_freq_factor': 4.0, 'original_max_position_embeddings': 8192}
LONG = {'rope_type': 'longrope', 'long_factor': [1.5] * 32,
        'short_factor': [1.25] * 32}


def there_and_back(config):
  values, tensors = rope.write(config, SIZE)
  keys = keys_lib.Keys(
      {f'x.{key}': value for key, (_, value) in values.items()}, 'x')
  found = rope.read(keys, {
      name: tensors_lib.Tensor.of(array) for name, array in tensors.items()},
                    SIZE)
  keys.finish()
  return found


@pytest.mark.parametrize('scaling', [
    None, {'rope_type': 'linear', 'factor': 8.0},
    {'rope_type': 'yarn', 'factor': 4.0,
     'original_max_position_embeddings': 4096, 'beta_fast': 16.0}, LLAMA3],
    ids=str)
def test_positions_come_back(scaling):
  config = {'rope_theta': 500_000.0, 'rope_scaling': scaling}
  assert there_and_back(config) == config
  new = {'rope_parameters': {
      'rope_type': 'default', **(scaling or {}), 'rope_theta': 500_000.0}}
  assert there_and_back(new) == config


def test_positions_of_global_layers_are_told_from_those_of_local_ones():
  values, _ = rope.write({'rope_parameters': {
      'full_attention': {'rope_type': 'linear', 'factor': 8.0,
                         'rope_theta': 1e6},
      'sliding_attention': {'rope_type': 'default', 'rope_theta': 1e4}}}, SIZE)
  assert values == {'rope.freq_base': ('real', 1e6),
                    'rope.scaling.type': ('text', 'linear'),
                    'rope.scaling.factor': ('real', 8.0)}
  assert rope.write({'rotary_emb_base': 5}, SIZE)[0]['rope.freq_base'][1] == 5


def test_long_rope_comes_back_with_its_contexts():
  config = {'rope_theta': 1e4, 'rope_scaling': LONG,
            'original_max_position_embeddings': 4096}
  assert there_and_back(config | {'max_position_embeddings': 131072}) == config


def test_factors_of_llama_3_are_one_in_front_and_the_factor_behind():
  _, tensors = rope.write({'rope_theta': 5e5, 'rope_scaling': LLAMA3}, SIZE)
  found = tensors[rope.LLAMA3]
  assert found[0] == 1 and found[-1] == 32
  assert (np.diff(found) >= 0).all() and len(set(found)) > 4


@pytest.mark.parametrize('key', ['scaling.factor', 'scale_linear'])
def test_a_factor_alone_is_that_of_linear_scaling_as_in_llama_cpp(key):
  keys = keys_lib.Keys({f'x.rope.{key}': 4.0}, 'x')
  assert rope.read(keys, {}, SIZE)['rope_scaling'] == {
      'rope_type': 'linear', 'factor': 4.0}
  keys.finish()
  values = {f'x.rope.{key}': 4.0, 'x.rope.scaling.type': 'none'}
  assert rope.read(keys_lib.Keys(values, 'x'), {}, SIZE)['rope_scaling'] is None


def test_two_scalings_at_once_are_refused():
  _, tensors = rope.write({'rope_theta': 5e5, 'rope_scaling': LLAMA3}, SIZE)
  keys = keys_lib.Keys({'x.rope.freq_base': 5e5, 'x.rope.scaling.factor': 2.0},
                       'x')
  with pytest.raises(ValueError, match='factor of 2 on top'):
    rope.read(keys, {name: tensors_lib.Tensor.of(array)
                     for name, array in tensors.items()}, SIZE)


def test_other_factors_are_refused():
  _, tensors = rope.write({'rope_theta': 5e5, 'rope_scaling': LLAMA3}, SIZE)
  wrong = tensors[rope.LLAMA3] + np.float32([0] * 16 + [0.5] + [0] * 15)
  keys = keys_lib.Keys({'x.rope.freq_base': 5e5}, 'x')
  with pytest.raises(ValueError, match='pair 16 differs most'):
    rope.read(keys, {rope.LLAMA3: tensors_lib.Tensor.of(wrong)}, SIZE)


def test_an_unknown_scaling_is_refused():
  with pytest.raises(ValueError, match="unknown scaling 'spiral'"):
    rope.read(keys_lib.Keys({'x.rope.scaling.type': 'spiral'}, 'x'), {}, SIZE)
  with pytest.raises(ValueError, match="'dynamic' have no form in GGUF"):
    rope.write({'rope_scaling': {'type': 'dynamic', 'factor': 2.0}}, SIZE)
