"""An imported Phi computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup
from tests.reference import parity

FAMILY = families.FAMILIES['phi']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, max_position_embeddings=1024)
CASES = {
    'standard': {},
    'groups, normed': dict(num_key_value_heads=2, qk_layernorm=True),
}
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


def case(folder, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  return parity.case(
      folder, transformers.PhiConfig(**SIZE | changes), 'PhiForCausalLM',
      **written or {})


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


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_import_computes_what_the_reference_computes(name, tmp_path):
  found = case(tmp_path, **CASES[name])
  parity.check_round_trip(found)
  parity.check(found)


@pytest.mark.slow
@pytest.mark.parametrize('written', [
    dict(num_attention_heads=3, num_key_value_heads=3),
    dict(hidden_act='gelu'),
    dict(layer_norm_eps=1e-4),
    dict(rope_parameters={'rope_type': 'default', 'rope_theta': 20_000.0,
                          'partial_rotary_factor': 0.5})])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  assert parity.logits_error(case(tmp_path, written)) > 4 * parity.LOGITS
