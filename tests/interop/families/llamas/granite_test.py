"""An imported Granite computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.models import presets

FAMILY = families.FAMILIES['granite']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024,
    attention_multiplier=0.4, embedding_multiplier=6.0, logits_scaling=3.0,
    residual_multiplier=0.7)


@pytest.mark.parametrize('change', [
    dict(embedding_multiplier='large'), dict(residual_scale=2.0),
    dict(hidden_act='tanh'),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)


def published(width, hidden, vocab_size, theta, logits):
  """Returns the published config of a granite-3 of 2B or 8B."""
  return {
      'architectures': ['GraniteForCausalLM'], 'attention_bias': False,
      'attention_dropout': 0.1, 'attention_multiplier': 32 / width,
      'embedding_multiplier': 12.0, 'hidden_act': 'silu', 'hidden_size': width,
      'intermediate_size': hidden, 'logits_scaling': logits,
      'max_position_embeddings': 131072, 'mlp_bias': False,
      'model_type': 'granite', 'num_attention_heads': 32,
      'num_hidden_layers': 40, 'num_key_value_heads': 8,
      'residual_multiplier': 0.22, 'rms_norm_eps': 1e-05, 'rope_scaling': None,
      'rope_theta': theta, 'tie_word_embeddings': True,
      'vocab_size': vocab_size}


@pytest.mark.parametrize('name, numbers', [
    ('granite3_1_2b', (2048, 8192, 49155, 5e6, 8.0)),
    ('granite3_3_8b', (4096, 12800, 49159, 1e7, 16.0))])
def test_the_published_config_is_the_preset(name, numbers):
  tree = published(*numbers) | {'attention_dropout': 0.0}
  assert FAMILY.config(tree) == presets.PRESETS[name]
  FAMILY.fields(presets.PRESETS[name])


@pytest.mark.parametrize('divisor', [3.0, 7.0, 49.0, 0.3, 1e-3])
def test_a_divisor_of_logits_is_written_as_it_was_read(divisor):
  config = FAMILY.config(SIZE | {'logits_scaling': divisor})
  assert FAMILY.fields(config)['logits_scaling'] == divisor
