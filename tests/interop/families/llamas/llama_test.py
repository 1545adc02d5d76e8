"""An imported Llama computes what the reference computes."""
import pytest

from lmjax.interop import families
from tests.reference import parity

FAMILY = families.FAMILIES['llama']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024)
LLAMA3 = {'rope_type': 'llama3', 'factor': 4.0, 'low_freq_factor': 1.0,
          'high_freq_factor': 4.0, 'original_max_position_embeddings': 256,
          'rope_theta': 500_000.0}
CASES = {
    'grouped': {},
    'multi-head': dict(num_key_value_heads=6),
    'tied': dict(tie_word_embeddings=True),
    'biases': dict(attention_bias=True, mlp_bias=True),
    'large heads': dict(head_dim=16),
    'llama 3': dict(rope_parameters=LLAMA3),
    'linear': dict(rope_parameters={
        'rope_type': 'linear', 'factor': 2.0, 'rope_theta': 10_000.0}),
    'yarn': dict(rope_parameters={
        'rope_type': 'yarn', 'factor': 4.0, 'rope_theta': 10_000.0,
        'original_max_position_embeddings': 256}),
}


def case(folder, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  return parity.case(
      folder, transformers.LlamaConfig(**SIZE | changes), 'LlamaForCausalLM',
      **written or {})


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_import_computes_what_the_reference_computes(name, tmp_path):
  parity.check(case(tmp_path, **CASES[name]))


@pytest.mark.slow
@pytest.mark.parametrize('written', [
    dict(rms_norm_eps=1e-5), dict(hidden_act='gelu'),
    dict(rope_parameters={'rope_type': 'default', 'rope_theta': 20_000.0}),
])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  assert parity.logits_error(case(tmp_path, written)) > 4 * parity.LOGITS


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_export_is_the_import_reversed(name, tmp_path):
  parity.check_round_trip(case(tmp_path, **CASES[name]))
