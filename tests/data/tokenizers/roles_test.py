"""Which tokens are BOS, [MASK] and so on."""
import pytest

from lmjax.data.tokenizers import roles


def test_roles_are_declared_by_a_text_or_an_object():
  assert roles.declared({
      'bos_token': '<s>', 'mask_token': {'content': '<mask>', 'lstrip': True},
      'pad_token': None, 'bos_id': 3}, 'f') == {'bos': '<s>', 'mask': '<mask>'}


@pytest.mark.parametrize('value', [3, ['<s>'], {'content': 3}, ''])
def test_a_role_of_another_type_is_refused(value):
  with pytest.raises(ValueError, match='bos_token in f should be'):
    roles.declared({'bos_token': value}, 'f')


def test_one_token_may_have_two_roles():
  assert roles.usual(['<|endoftext|>']) == {
      'bos': '<|endoftext|>', 'eos': '<|endoftext|>'}
