"""An imported Phi-3 computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.models import presets
from lmjax.nn import rotary

FAMILY = families.FAMILIES['phi3']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024,
    original_max_position_embeddings=128, pad_token_id=0)

LONG = {'rope_type': 'longrope', 'short_factor': [1.0, 1.1, 1.3, 1.6],
        'long_factor': [1.5, 2.5, 4.0, 8.0], 'rope_theta': 10_000.0}


@pytest.mark.parametrize('change', [
    dict(clip_qkv=8.0), dict(rope_parameters=LONG | {'attention_factor': 1.2}),
    dict(rope_parameters={'rope_type': 'llama3'}), dict(auto_map={'a': 'b.C'}),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)


PUBLISHED = {  # microsoft/Phi-3-mini-4k-instruct, without its auto_map
    'architectures': ['Phi3ForCausalLM'], 'attention_bias': False,
    'attention_dropout': 0.0, 'embd_pdrop': 0.0, 'hidden_act': 'silu',
    'hidden_size': 3072, 'intermediate_size': 8192,
    'max_position_embeddings': 4096, 'model_type': 'phi3',
    'num_attention_heads': 32, 'num_hidden_layers': 32,
    'num_key_value_heads': 32, 'original_max_position_embeddings': 4096,
    'resid_pdrop': 0.0, 'rms_norm_eps': 1e-05, 'rope_scaling': None,
    'rope_theta': 10000.0, 'sliding_window': 2047,
    'tie_word_embeddings': False, 'vocab_size': 32064}


def test_the_published_config_is_the_preset():
  assert FAMILY.config(PUBLISHED) == presets.PRESETS['phi3_mini']
  FAMILY.fields(presets.PRESETS['phi3_mini'])


@pytest.mark.parametrize('name', ['su', 'yarn', 'longrope'])
def test_the_older_names_of_long_rope_are_read(name):
  found = FAMILY.config(SIZE | {'rope_scaling': {
      'type': name, 'short_factor': [1.0] * 4, 'long_factor': [2.0] * 4}})
  assert found.positions.scaling == rotary.LongRopeScaling(
      (1.0,) * 4, (2.0,) * 4, 8.0, 128)
