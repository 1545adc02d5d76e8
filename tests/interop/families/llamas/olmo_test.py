"""An imported OLMo computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from tests.reference import parity

FAMILY = families.FAMILIES['olmo']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024)

CASES = {
    'grouped': {},
    'multi-head, tied': dict(num_key_value_heads=6, tie_word_embeddings=True),
    'biases': dict(attention_bias=True),
}


def case(folder, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  return parity.case(
      folder, transformers.OlmoConfig(**SIZE | changes),
      'OlmoForCausalLM', **written or {})


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_the_reference_computes_the_same_in_both_directions(name, tmp_path):
  found = case(tmp_path, **CASES[name])
  parity.check_round_trip(found)
  parity.check(found)  # It trains the reference.


@pytest.mark.slow
@pytest.mark.parametrize('written', [
    dict(hidden_act='gelu'), dict(num_attention_heads=3, num_key_value_heads=1),
    dict(rope_parameters={'rope_type': 'default', 'rope_theta': 20_000.0}),
])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  assert parity.logits_error(case(tmp_path, written)) > 4 * parity.LOGITS


@pytest.mark.parametrize('change', [
    dict(clip_qkv=8.0), dict(sliding_window=8), dict(hidden_act='tanh'),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)
