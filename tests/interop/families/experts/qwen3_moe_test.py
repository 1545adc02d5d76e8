"""An imported Qwen 3 MoE computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families
from tests.reference import parity

FAMILY = families.FAMILIES['qwen3_moe']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024,
    moe_intermediate_size=40, num_experts=5, num_experts_per_tok=2)

CASES = {
    'only mixtures': dict(head_dim=16),
    'gates that sum to 1': dict(norm_topk_prob=True, num_experts_per_tok=3),
    'every second layer': dict(decoder_sparse_step=2, attention_bias=True),
    'one dense layer': dict(mlp_only_layers=[0], tie_word_embeddings=True),
}


def case(folder, written=None, **changes):
  _, transformers = parity.torch_and_transformers()
  return parity.case(
      folder, transformers.Qwen3MoeConfig(**SIZE | changes),
      'Qwen3MoeForCausalLM', **written or {})


@pytest.mark.slow
@pytest.mark.parametrize('name', CASES)
def test_the_reference_computes_the_same_in_both_directions(name, tmp_path):
  found = case(tmp_path, **CASES[name])
  parity.check_round_trip(found)
  parity.check(found)  # It trains the reference.


@pytest.mark.slow
@pytest.mark.parametrize('written', [
    dict(norm_topk_prob=True), dict(num_experts_per_tok=3),
    dict(rms_norm_eps=1e-4),
])
def test_a_wrong_field_is_far_outside_of_the_tolerance(written, tmp_path):
  assert parity.logits_error(case(tmp_path, written)) > 4 * parity.LOGITS


@pytest.mark.parametrize('change', [
    dict(use_sliding_window=True), dict(decoder_sparse_step=0),
    dict(shared_expert_intermediate_size=8),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)
