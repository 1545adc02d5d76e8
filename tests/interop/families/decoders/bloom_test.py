"""An imported BLOOM computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['bloom']
PUBLISHED = dict(  # https://huggingface.co/bigscience/bloom-560m
    model_type='bloom', architectures=['BloomForCausalLM'],
    apply_residual_connection_post_layernorm=False, attention_dropout=0.0,
    attention_softmax_in_fp32=True, bias_dropout_fusion=True, bos_token_id=1,
    eos_token_id=2, hidden_dropout=0.0, initializer_range=0.02,
    layer_norm_epsilon=1e-5, masked_softmax_fusion=True, n_embed=1024,
    n_inner=None, n_layer=24, num_attention_heads=16, offset_alibi=100,
    pad_token_id=3, pretraining_tp=1, skip_bias_add=True,
    skip_bias_add_qkv=False, slow_but_exact=False, unk_token_id=0,
    use_cache=True, vocab_size=250880)


def test_a_published_config_is_the_preset():
  assert family_lib.computing(FAMILY.config(PUBLISHED)) == (
      family_lib.computing(lookup.named('bloom_560m')))


@pytest.mark.parametrize('name', [
    'bloom_560m'])
def test_a_preset_is_written_and_read_back(name):
  tree = FAMILY.fields(lookup.named(name))
  assert FAMILY.fields(FAMILY.config(tree)) == tree


@pytest.mark.parametrize('change', [
    dict(apply_residual_connection_post_layernorm=True), dict(n_inner=1024),
    dict(hidden_size=512), dict(activation_function='gelu')])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)
