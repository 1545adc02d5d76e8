"""An imported OLMo computes what the reference computes."""
import pytest

from lmjax.core import errors
from lmjax.interop import families

FAMILY = families.FAMILIES['olmo']
SIZE = dict(
    vocab_size=211, hidden_size=48, intermediate_size=72, num_hidden_layers=3,
    num_attention_heads=6, num_key_value_heads=2, max_position_embeddings=1024)


@pytest.mark.parametrize('change', [
    dict(clip_qkv=8.0), dict(sliding_window=8), dict(hidden_act='tanh'),
])
def test_a_field_that_is_not_computed_is_refused(change):
  with pytest.raises(errors.InputError, match=list(change)[0]):
    FAMILY.config(SIZE | change)
