"""Older files of Gemma name another activation than they mean."""
from lmjax.interop import families
from tests.reference import families as references


def test_the_activation_of_older_files_is_the_approximation():
  for name in ('gelu', 'gelu_pytorch_tanh'):
    found = families.FAMILIES['gemma'].config(
        references.FAMILIES['gemma'].size | {'hidden_act': name})
    assert found.block.mlp.activation == 'gelu_tanh'
