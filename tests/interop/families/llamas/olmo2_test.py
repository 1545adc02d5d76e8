"""An imported OLMo 2 computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.models import presets

FAMILY = families.FAMILIES['olmo2']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024)


@pytest.mark.parametrize('change', [
    dict(sliding_window=8), dict(clip_qkv=8.0), dict(hidden_act='tanh'),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)


def published(width, layers, heads, hidden):
  """Returns the published config of allenai/OLMo-2-1124-7B or 0425-1B."""
  return {
      'architectures': ['Olmo2ForCausalLM'], 'attention_bias': False,
      'attention_dropout': 0.0, 'hidden_act': 'silu', 'hidden_size': width,
      'intermediate_size': hidden, 'max_position_embeddings': 4096,
      'model_type': 'olmo2', 'num_attention_heads': heads,
      'num_hidden_layers': layers, 'num_key_value_heads': heads,
      'rms_norm_eps': 1e-06, 'rope_scaling': None, 'rope_theta': 500000,
      'tie_word_embeddings': False, 'vocab_size': 100352}


@pytest.mark.parametrize('name, sizes', [
    ('olmo2_1b', (2048, 16, 16, 8192)), ('olmo2_7b', (4096, 32, 32, 11008))])
def test_the_published_config_computes_as_the_preset(name, sizes):
  tree = FAMILY.fields(presets.PRESETS[name])
  assert FAMILY.fields(FAMILY.config(published(*sizes))) == tree


def test_norms_have_the_size_of_all_heads():
  rows = {row.names[0]: row for row in FAMILY.rows(FAMILY.config(SIZE))}
  row = rows['model.layers.0.self_attn.k_norm.weight']
  assert row.file_shapes([(2, 8)]) == ((16,),)
