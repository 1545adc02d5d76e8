"""An imported SmolLM3 computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.models import presets

FAMILY = families.FAMILIES['smollm3']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=4,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024,
    pad_token_id=None, bos_token_id=None, eos_token_id=None)


@pytest.mark.parametrize('change', [
    dict(no_rope_layers=[1, 1]), dict(no_rope_layers=[1, 2, 1, 0]),
    dict(no_rope_layer_interval=0), dict(layer_types=['sliding_attention'] * 4),
    dict(hidden_act='tanh'),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)


PUBLISHED = {  # HuggingFaceTB/SmolLM3-3B
    'architectures': ['SmolLM3ForCausalLM'], 'attention_bias': False,
    'attention_dropout': 0.0, 'hidden_act': 'silu', 'hidden_size': 2048,
    'intermediate_size': 11008, 'layer_types': ['full_attention'] * 36,
    'max_position_embeddings': 65536, 'max_window_layers': 28,
    'mlp_bias': False, 'model_type': 'smollm3',
    'no_rope_layer_interval': 4, 'no_rope_layers': [1, 1, 1, 0] * 9,
    'num_attention_heads': 16, 'num_hidden_layers': 36,
    'num_key_value_heads': 4, 'pretraining_tp': 2, 'rms_norm_eps': 1e-06,
    'rope_scaling': None, 'rope_theta': 5000000.0, 'sliding_window': None,
    'use_sliding_window': False, 'vocab_size': 128256}


def test_the_published_config_is_the_preset():
  assert FAMILY.config(PUBLISHED) == presets.PRESETS['smollm3_3b']
  FAMILY.fields(presets.PRESETS['smollm3_3b'])
