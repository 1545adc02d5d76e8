"""An imported Falcon computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup
from tests.reference import parity

FAMILY = families.FAMILIES['falcon']
SIZE = dict(
    vocab_size=211, hidden_size=48, num_hidden_layers=3, num_attention_heads=6,
    max_position_embeddings=1024)
CASES = {
    'one key': {},
    'groups, two norms': dict(new_decoder_architecture=True, num_kv_heads=2),
    'groups, one norm': dict(
        new_decoder_architecture=True, num_kv_heads=3, bias=True,
        num_ln_in_parallel_attn=1, tie_word_embeddings=False,
        ffn_hidden_size=72),
    'all keys, one after the other': dict(
        multi_query=False, parallel_attn=False, bias=True),
}
PUBLISHED = dict(  # https://huggingface.co/tiiuae/falcon-7b
    model_type='falcon', architectures=['FalconForCausalLM'], alibi=False,
    apply_residual_connection_post_layernorm=False, attention_dropout=0.0,
    bias=False, bos_token_id=11, eos_token_id=11, hidden_dropout=0.0,
    hidden_size=4544, initializer_range=0.02, layer_norm_epsilon=1e-5,
    multi_query=True, new_decoder_architecture=False, num_attention_heads=71,
    num_hidden_layers=32, parallel_attn=True, torch_dtype='bfloat16',
    transformers_version='4.27.4', use_cache=True, vocab_size=65024)


def case(folder, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  return parity.case(
      folder, transformers.FalconConfig(**SIZE | changes), 'FalconForCausalLM',
      **written or {})


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


@pytest.mark.slow
def test_alibi_is_rounded_as_in_the_reference(tmp_path):
  # Six heads, and positions that bfloat16 does not have. The reference's own
  # "eager" attention adds the bias twice.
  found = case(tmp_path, alibi=True, multi_query=False, parallel_attn=False,
               bias=True)
  found.reference.config._attn_implementation = 'sdpa'
  parity.check(found)


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_import_computes_what_the_reference_computes(name, tmp_path):
  found = case(tmp_path, **CASES[name])
  parity.check_round_trip(found)
  parity.check(found)


@pytest.mark.slow
@pytest.mark.parametrize('written', [
    dict(activation='gelu_new'), dict(alibi=True),
    dict(layer_norm_epsilon=1e-4)])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  assert parity.logits_error(case(tmp_path, written)) > 4 * parity.LOGITS
