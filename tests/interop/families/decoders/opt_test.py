"""An imported OPT computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup

FAMILY = families.FAMILIES['opt']
PUBLISHED = dict(  # https://huggingface.co/facebook/opt-350m
    model_type='opt', architectures=['OPTForCausalLM'], activation_dropout=0.0,
    activation_function='relu', attention_dropout=0.0, bos_token_id=2,
    do_layer_norm_before=False, dropout=0.1, eos_token_id=2, ffn_dim=4096,
    hidden_size=1024, init_std=0.02, layerdrop=0.0,
    max_position_embeddings=2048, num_attention_heads=16,
    num_hidden_layers=24, pad_token_id=1, prefix='</s>', torch_dtype='float16',
    transformers_version='4.20.0.dev0', use_cache=True, vocab_size=50272,
    word_embed_proj_dim=512)


def test_a_published_config_is_the_preset():
  assert family_lib.computing(FAMILY.config(PUBLISHED)) == (
      family_lib.computing(lookup.named('opt_350m')))


@pytest.mark.parametrize('name', [
    'opt_125m', 'opt_350m', 'opt_1_3b'])
def test_a_preset_is_written_and_read_back(name):
  tree = FAMILY.fields(lookup.named(name))
  assert FAMILY.fields(FAMILY.config(tree)) == tree


@pytest.mark.parametrize('change', [
    dict(layer_norm_elementwise_affine=False), dict(activation_function='mish'),
    dict(tie_word_embeddings=False), dict(alibi=True)])
def test_a_field_with_another_meaning_is_refused(change):
  with pytest.raises(errors.InputError, match=next(iter(change))):
    FAMILY.config(PUBLISHED | change)
