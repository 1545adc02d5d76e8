"""An imported Gemma 3 computes what the reference computes."""
import dataclasses

import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.mapping import layer_types
from lmjax.models import presets

FAMILY = families.FAMILIES['gemma3_text']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=4,
    num_attention_heads=6, num_key_value_heads=2, head_dim=16,
    query_pre_attn_scalar=16, sliding_window=9, sliding_window_pattern=3,
    max_position_embeddings=1024)
FULL, SLIDING = layer_types.FULL, layer_types.SLIDING


# The text_config of google/gemma-3-4b-it, which leaves out most fields.
TEXT_4B = {
    'hidden_size': 2560, 'intermediate_size': 10240,
    'model_type': 'gemma3_text', 'num_hidden_layers': 34,
    'rope_scaling': {'factor': 8.0, 'rope_type': 'linear'},
    'sliding_window': 1024}
PUBLISHED = {
    'gemma3_4b': {
        'architectures': ['Gemma3ForConditionalGeneration'],
        'boi_token_index': 255999, 'eoi_token_index': 256000,
        'eos_token_id': [1, 106], 'image_token_index': 262144,
        'initializer_range': 0.02, 'mm_tokens_per_image': 256,
        'model_type': 'gemma3', 'text_config': TEXT_4B,
        'vision_config': {'hidden_size': 1152, 'image_size': 896,
                          'model_type': 'siglip_vision_model'}},
    'gemma3_1b': {
        'architectures': ['Gemma3ForCausalLM'], 'attention_bias': False,
        'attention_dropout': 0.0, 'attn_logit_softcapping': None,
        'cache_implementation': 'hybrid', 'final_logit_softcapping': None,
        'head_dim': 256, 'hidden_activation': 'gelu_pytorch_tanh',
        'hidden_size': 1152, 'intermediate_size': 6912,
        'max_position_embeddings': 32768, 'model_type': 'gemma3_text',
        'num_attention_heads': 4, 'num_hidden_layers': 26,
        'num_key_value_heads': 1, 'query_pre_attn_scalar': 256,
        'rms_norm_eps': 1e-06, 'rope_local_base_freq': 10000,
        'rope_scaling': None, 'rope_theta': 1000000, 'sliding_window': 512,
        'sliding_window_pattern': 6, 'vocab_size': 262144},
}


def test_a_published_config_is_the_preset():
  assert FAMILY.config(PUBLISHED['gemma3_1b']) == presets.PRESETS['gemma3_1b']
  found = FAMILY.config(PUBLISHED['gemma3_4b'])
  assert found.vocab_size == 262_208  # 64 more rows than are used.
  assert dataclasses.replace(
      found, vocab_size=262_144) == presets.PRESETS['gemma3_4b']


@pytest.mark.parametrize('name', ['gemma3_270m', 'gemma3_1b', 'gemma3_4b'])
def test_a_preset_can_be_written(name):
  assert FAMILY.fields(presets.PRESETS[name])['model_type'] == 'gemma3_text'


@pytest.mark.parametrize('change', [
    dict(attn_logit_softcapping=50.0), dict(sliding_window_pattern=0),
    dict(rope_parameters={'rope_type': 'default', 'rope_theta': 1e6}),
    dict(use_bidirectional_attention=True),
    dict(layer_types=[FULL, SLIDING]),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)


def test_a_field_of_the_text_part_that_is_not_known_is_refused():
  tree = PUBLISHED['gemma3_4b']
  with pytest.raises(errors.InputError, match='text_config.*spiral'):
    FAMILY.config(tree | {'text_config': TEXT_4B | {'spiral': 1}})
