"""An imported Gemma 2 computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.mapping import layer_types
from lmjax.models import presets

FAMILY = families.FAMILIES['gemma2']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, head_dim=16,
    query_pre_attn_scalar=16, sliding_window=9, max_position_embeddings=1024)
FULL, SLIDING = layer_types.FULL, layer_types.SLIDING


def published(width, layers, heads, kv_heads, hidden):
  """Returns the published config of google/gemma-2-2b or 9b."""
  return {
      'architectures': ['Gemma2ForCausalLM'], 'attention_bias': False,
      'attention_dropout': 0.0, 'attn_logit_softcapping': 50.0,
      'cache_implementation': 'hybrid', 'final_logit_softcapping': 30.0,
      'head_dim': 256, 'hidden_act': 'gelu_pytorch_tanh',
      'hidden_activation': 'gelu_pytorch_tanh', 'hidden_size': width,
      'intermediate_size': hidden, 'max_position_embeddings': 8192,
      'model_type': 'gemma2', 'num_attention_heads': heads,
      'num_hidden_layers': layers, 'num_key_value_heads': kv_heads,
      'query_pre_attn_scalar': 256, 'rms_norm_eps': 1e-06,
      'rope_theta': 10000.0, 'sliding_window': 4096, 'vocab_size': 256000}


@pytest.mark.parametrize('name, sizes', [
    ('gemma2_2b', (2304, 26, 8, 4, 9216)),
    ('gemma2_9b', (3584, 42, 16, 8, 14336))])
def test_the_published_config_is_the_preset(name, sizes):
  assert FAMILY.config(published(*sizes)) == presets.PRESETS[name]
  FAMILY.fields(presets.PRESETS[name])


@pytest.mark.parametrize('change', [
    dict(sliding_window=None), dict(layer_types=[FULL]),
    dict(layer_types=[FULL, SLIDING, 'chunked_attention']),
    dict(sliding_window_size=8), dict(use_bidirectional_attention=True),
    dict(hidden_activation='quick_gelu'),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)
