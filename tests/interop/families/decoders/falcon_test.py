"""An imported Falcon computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['falcon']
PUBLISHED = dict(  # https://huggingface.co/tiiuae/falcon-7b
    model_type='falcon', architectures=['FalconForCausalLM'], alibi=False,
    apply_residual_connection_post_layernorm=False, attention_dropout=0.0,
    bias=False, bos_token_id=11, eos_token_id=11, hidden_dropout=0.0,
    hidden_size=4544, initializer_range=0.02, layer_norm_epsilon=1e-5,
    multi_query=True, new_decoder_architecture=False, num_attention_heads=71,
    num_hidden_layers=32, parallel_attn=True, torch_dtype='bfloat16',
    transformers_version='4.27.4', use_cache=True, vocab_size=65024)


def test_a_published_config_is_the_preset():
  assert family_lib.computing(FAMILY.config(PUBLISHED)) == (
      family_lib.computing(lookup.named('falcon_7b')))


@pytest.mark.parametrize('name', [
    'falcon_7b'])
def test_a_preset_is_written_and_read_back(name):
  tree = FAMILY.fields(lookup.named(name))
  assert FAMILY.fields(FAMILY.config(tree)) == tree


@pytest.mark.parametrize('change', [
    dict(num_ln_in_parallel_attn=2), dict(activation='mish'),
    dict(parallel_attn=False, new_decoder_architecture=True)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)
