"""An imported Qwen 2 computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop.families import family as family_lib
from lmjax.models.presets import lookup
from tests.reference import parity

FAMILY = families.FAMILIES['qwen2']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024)
WINDOWS = dict(use_sliding_window=True, sliding_window=96, max_window_layers=1)
CASES = {
    'full': dict(tie_word_embeddings=True),
    'windows in later layers': WINDOWS,
    'windows in some layers': WINDOWS | dict(layer_types=[
        'full_attention', 'sliding_attention', 'full_attention']),
}
SMALL = dict(  # https://huggingface.co/Qwen/Qwen2.5-0.5B
    model_type='qwen2', architectures=['Qwen2ForCausalLM'],
    attention_dropout=0.0, hidden_act='silu', hidden_size=896,
    initializer_range=0.02, intermediate_size=4864,
    max_position_embeddings=32768, max_window_layers=24,
    num_attention_heads=14, num_hidden_layers=24, num_key_value_heads=2,
    rms_norm_eps=1e-6, rope_theta=1000000.0, sliding_window=32768,
    tie_word_embeddings=True, torch_dtype='bfloat16', use_cache=True,
    use_mrope=False, use_sliding_window=False, vocab_size=151936)


def case(folder, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  return parity.case(
      folder, transformers.Qwen2Config(**SIZE | changes), 'Qwen2ForCausalLM',
      **written or {})


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


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_import_computes_what_the_reference_computes(name, tmp_path):
  found = case(tmp_path, **CASES[name])
  parity.check_round_trip(found)
  parity.check(found)


@pytest.mark.slow
@pytest.mark.parametrize('written', [
    dict(max_window_layers=2, layer_types=None), dict(sliding_window=95),
    dict(num_attention_heads=12, num_key_value_heads=4, head_dim=4),
    dict(rms_norm_eps=1e-5)])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  found = case(tmp_path, written, **WINDOWS)
  assert parity.logits_error(found) > 4 * parity.LOGITS
