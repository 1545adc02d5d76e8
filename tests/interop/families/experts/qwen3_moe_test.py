"""An imported Qwen 3 MoE computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families

FAMILY = families.FAMILIES['qwen3_moe']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024,
    moe_intermediate_size=40, num_experts=5, num_experts_per_tok=2)


@pytest.mark.parametrize('change', [
    dict(use_sliding_window=True), dict(decoder_sparse_step=0),
    dict(shared_expert_intermediate_size=8),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)
