"""Rotary positions are read from both forms of config.json, and written."""
import pytest

from lmjax.core import errors
from lmjax.interop.mapping import fields as fields_lib
from lmjax.interop.mapping import rope
from lmjax.nn import positions
from lmjax.nn import rotary

LLAMA3 = {'factor': 8.0, 'low_freq_factor': 1.0, 'high_freq_factor': 4.0,
          'original_max_position_embeddings': 8192}
FOUND = [
    positions.Rotary(),
    positions.Rotary(theta=500_000.0, fraction=0.25),
    positions.Rotary(scaling=rotary.LinearScaling(4.0)),
    positions.Rotary(theta=500_000.0, scaling=rotary.Llama3Scaling()),
    positions.Rotary(scaling=rotary.YarnScaling(4.0, 4096)),
    positions.Rotary(scaling=rotary.LongRopeScaling(
        (1.0, 1.5), (2.0, 8.0), 4.0, 1024)),
]


def read(tree, **kwargs):
  fields = fields_lib.Fields(tree)
  found = rope.read(fields, **kwargs)
  fields.finish()
  return found


@pytest.mark.parametrize('found', FOUND)
@pytest.mark.parametrize('form', ['both', 'old', 'new'])
def test_what_is_written_is_read_in_either_form(found, form):
  tree = rope.write(found)
  if form == 'old':
    del tree['rope_parameters']
  elif form == 'new':
    tree = {'rope_parameters': tree['rope_parameters']}
  assert read(tree) == found


def test_the_oldest_form_is_read():
  found = read({'rope_theta': 5e5,
                'rope_scaling': {'type': 'llama3', **LLAMA3}})
  assert found == positions.Rotary(theta=5e5, scaling=rotary.Llama3Scaling())


def test_kinds_of_layers_have_their_own():
  tree = {'rope_parameters': {
      'full_attention': {'rope_type': 'linear', 'factor': 8.0,
                         'rope_theta': 1e6},
      'sliding_attention': {'rope_type': 'default', 'rope_theta': 1e4}}}
  assert read(tree, layers='full_attention') == positions.Rotary(
      theta=1e6, scaling=rotary.LinearScaling(8.0))
  assert read(tree, layers='sliding_attention') == positions.Rotary(theta=1e4)


def test_the_factor_of_long_rope_is_that_of_the_contexts():
  found = read({
      'max_position_embeddings': 64, 'original_max_position_embeddings': 16,
      'rope_scaling': {'type': 'su', 'short_factor': [1], 'long_factor': [2]}},
               renamed={'su': 'longrope'})
  assert found.scaling == rotary.LongRopeScaling((1.0,), (2.0,), 4.0, 16)


def test_a_scaling_of_longer_texts_only_is_none():
  tree = {'max_position_embeddings': 64,
          'rope_scaling': {'type': 'dynamic', 'factor': 2.0}}
  assert read(tree) == positions.Rotary()
  with pytest.raises(errors.InputError, match='is read with 64 or None only'):
    read(tree | {'original_max_position_embeddings': 32})


def test_the_factor_of_attention_may_be_written_out():
  tree = {'rope_type': 'yarn', 'factor': 4.0,
          'attention_factor': 1.138629436111989}
  assert read({'rope_scaling': tree}).scaling == rotary.YarnScaling(4.0, 2048)


@pytest.mark.parametrize('tree, what', [
    ({'original_max_position_embeddings': 16, 'rope_scaling': {
        'type': 'yarn', 'factor': 2.0, 'original_max_position_embeddings': 8}},
     'original_max_position_embeddings is 8'),
    ({'rope_scaling': {'type': 'longrope', 'short_factor': ['a'],
                       'long_factor': [2]}}, 'short_factor'),
    ({'rope_scaling': {'type': 'longrope', 'short_factor': [1],
                       'long_factor': [2], 'attention_factor': 1.1}},
     'attention_factor'),
    ({'rope_theta': 1e4, 'rope_parameters': {'rope_theta': 5e5}},
     'remove the wrong one'),
    ({'rope_scaling': {'type': 'linear', 'factor': 2.0},
      'rope_parameters': {'rope_type': 'linear', 'factor': 4.0}},
     'different scalings'),
    ({'rope_scaling': {'type': 'spiral', 'factor': 2.0}}, "'spiral'"),
    ({'rope_scaling': {'type': 'linear', 'rope_type': 'yarn', 'factor': 2.0}},
     "'linear'|'yarn'"),
    ({'rope_scaling': {'type': 'linear'}}, 'no field factor'),
    ({'rope_scaling': {'type': 'linear', 'factor': 2.0, 'beta': 1}}, 'beta'),
    ({'rope_parameters': {'rope_type': 'yarn', 'factor': 2.0,
                          'attention_factor': 0.7}}, 'attention_factor'),
])
def test_a_contradiction_or_an_unknown_kind_is_refused(tree, what):
  with pytest.raises(errors.InputError, match=what):
    read(tree)


def test_positions_without_a_form_are_refused():
  with pytest.raises(errors.InputError, match='NTKScaling'):
    rope.write(positions.Rotary(scaling=rotary.NTKScaling()))
