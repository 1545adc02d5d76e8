"""An imported Phi computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['phi']
PUBLISHED = dict(  # https://huggingface.co/microsoft/phi-2
    model_type='phi', architectures=['PhiForCausalLM'], attention_dropout=0.0,
    bos_token_id=50256, embd_pdrop=0.0, eos_token_id=50256,
    hidden_act='gelu_new', hidden_size=2560, initializer_range=0.02,
    intermediate_size=10240, layer_norm_eps=1e-5,
    max_position_embeddings=2048, num_attention_heads=32, num_hidden_layers=32,
    num_key_value_heads=32, partial_rotary_factor=0.4, qk_layernorm=False,
    resid_pdrop=0.1, rope_scaling=None, rope_theta=10000.0,
    tie_word_embeddings=False, torch_dtype='float16', use_cache=True,
    vocab_size=51200)


def test_a_published_config_is_the_preset():
  assert family_lib.computing(FAMILY.config(PUBLISHED)) == (
      family_lib.computing(lookup.named('phi_2')))


@pytest.mark.parametrize('name', [
    'phi_2'])
def test_a_preset_is_written_and_read_back(name):
  tree = FAMILY.fields(lookup.named(name))
  assert FAMILY.fields(FAMILY.config(tree)) == tree


@pytest.mark.parametrize('change', [
    dict(hidden_act='mish'), dict(sliding_window=8)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)
