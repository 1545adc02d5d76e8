"""Granite multiplies embeddings, attention, residuals and logits."""
import pytest

from lmjax.interop import families
from lmjax.models import presets
from tests.reference import families as references

FAMILY = families.FAMILIES['granite']


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
  config = FAMILY.config(
      references.FAMILIES['granite'].size | {'logits_scaling': divisor})
  assert FAMILY.fields(config)['logits_scaling'] == divisor
