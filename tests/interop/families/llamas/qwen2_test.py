"""An imported Qwen 2 computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['qwen2']
SMALL = dict(  # https://huggingface.co/Qwen/Qwen2.5-0.5B
    model_type='qwen2', architectures=['Qwen2ForCausalLM'],
    attention_dropout=0.0, hidden_act='silu', hidden_size=896,
    initializer_range=0.02, intermediate_size=4864,
    max_position_embeddings=32768, max_window_layers=24,
    num_attention_heads=14, num_hidden_layers=24, num_key_value_heads=2,
    rms_norm_eps=1e-6, rope_theta=1000000.0, sliding_window=32768,
    tie_word_embeddings=True, torch_dtype='bfloat16', use_cache=True,
    use_mrope=False, use_sliding_window=False, vocab_size=151936)


def test_a_published_config_is_the_preset():
  assert family_lib.computing(FAMILY.config(SMALL)) == family_lib.computing(
      lookup.named('qwen2_5_0_5b'))


@pytest.mark.parametrize('name', ['qwen2_5_0_5b'])
def test_a_preset_is_written_and_read_back(name):
  tree = FAMILY.fields(lookup.named(name))
  assert FAMILY.fields(FAMILY.config(tree)) == tree


@pytest.mark.parametrize('change', [
    dict(use_mrope=True), dict(hidden_act='mish'),
    dict(layer_types=['sliding_attention'] * 24),
    dict(layer_types=['full_attention'] * 23)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(SMALL | change)
