"""An imported Qwen 3 computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['qwen3']
SMALL = dict(  # https://huggingface.co/Qwen/Qwen3-0.6B
    model_type='qwen3', architectures=['Qwen3ForCausalLM'],
    attention_bias=False, attention_dropout=0.0, bos_token_id=151643,
    eos_token_id=151645, head_dim=128, hidden_act='silu', hidden_size=1024,
    initializer_range=0.02, intermediate_size=3072,
    max_position_embeddings=40960, max_window_layers=28,
    num_attention_heads=16, num_hidden_layers=28, num_key_value_heads=8,
    rms_norm_eps=1e-6, rope_scaling=None, rope_theta=1000000,
    sliding_window=None, tie_word_embeddings=True, torch_dtype='bfloat16',
    use_cache=True, use_sliding_window=False, vocab_size=151936)


def test_a_published_config_is_the_preset():
  assert family_lib.computing(FAMILY.config(SMALL)) == family_lib.computing(
      lookup.named('qwen3_0_6b'))


@pytest.mark.parametrize('name', ['qwen3_0_6b', 'qwen3_8b'])
def test_a_preset_is_written_and_read_back(name):
  tree = FAMILY.fields(lookup.named(name))
  assert FAMILY.fields(FAMILY.config(tree)) == tree


@pytest.mark.parametrize('change', [
    dict(hidden_act='mish'), dict(clip_qkv=8.0),
    dict(layer_types=['sliding_attention'] * 28)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(SMALL | change)
