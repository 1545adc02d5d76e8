"""An imported Gemma computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families

FAMILY = families.FAMILIES['gemma']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, head_dim=16,
    max_position_embeddings=1024)


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
