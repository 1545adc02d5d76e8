"""An imported Mistral computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['mistral']
V01 = dict(  # https://huggingface.co/mistralai/Mistral-7B-v0.1
    model_type='mistral', architectures=['MistralForCausalLM'], bos_token_id=1,
    eos_token_id=2, hidden_act='silu', hidden_size=4096,
    initializer_range=0.02, intermediate_size=14336,
    max_position_embeddings=32768, num_attention_heads=32,
    num_hidden_layers=32, num_key_value_heads=8, rms_norm_eps=1e-5,
    rope_theta=10000.0, sliding_window=4096, tie_word_embeddings=False,
    torch_dtype='bfloat16', transformers_version='4.34.0.dev0',
    use_cache=True, vocab_size=32000)


def test_a_window_is_missing_or_null():
  later = FAMILY.config(V01 | {'sliding_window': None})
  assert later.block.mixer.window is None
  older = {name: V01[name] for name in V01 if name != 'sliding_window'}
  assert FAMILY.config(older).block.mixer.window == 4096


def test_a_published_config_is_the_preset():
  assert family_lib.computing(FAMILY.config(V01)) == family_lib.computing(
      lookup.named('mistral_7b'))


@pytest.mark.parametrize('name', ['mistral_7b'])
def test_a_preset_is_written_and_read_back(name):
  tree = FAMILY.fields(lookup.named(name))
  assert FAMILY.fields(FAMILY.config(tree)) == tree


@pytest.mark.parametrize('change', [
    dict(hidden_act='mish'), dict(layer_types=['full_attention'] * 32),
    dict(sliding_window=4.5)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(V01 | change)
