"""An imported Gemma computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from tests.reference import parity

FAMILY = families.FAMILIES['gemma']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, head_dim=16,
    max_position_embeddings=1024)
CASES = {
    'grouped': {},
    'one key head': dict(num_key_value_heads=1),
    'multi-head and untied': dict(
        num_key_value_heads=6, tie_word_embeddings=False),
    'biases': dict(attention_bias=True),
}


def case(folder, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  return parity.case(
      folder, transformers.GemmaConfig(**SIZE | changes), 'GemmaForCausalLM',
      **written or {})


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_import_computes_what_the_reference_computes(name, tmp_path):
  parity.check(case(tmp_path, **CASES[name]))


@pytest.mark.slow
@pytest.mark.parametrize('written', [
    dict(rms_norm_eps=1e-4), dict(num_attention_heads=3, head_dim=32,
                                  num_key_value_heads=1),
    dict(rope_parameters={'rope_type': 'default', 'rope_theta': 20_000.0}),
])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  assert parity.logits_error(case(tmp_path, written)) > 4 * parity.LOGITS


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_export_is_the_import_reversed(name, tmp_path):
  parity.check_round_trip(case(tmp_path, **CASES[name]))


def test_the_activation_of_older_files_is_the_approximation():
  for name in ('gelu', 'gelu_pytorch_tanh'):
    found = FAMILY.config(SIZE | {'hidden_act': name})
    assert found.block.mlp.activation == 'gelu_tanh'


@pytest.mark.parametrize('change', [
    dict(hidden_act='silu'), dict(hidden_activation='silu'),
    dict(use_bidirectional_attention=True), dict(sliding_window=8),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)
