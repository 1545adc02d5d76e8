"""Every value of the metadata is used, or refused by name."""
import pytest

from lmjax.interop.formats.gguf import keys as keys_lib


def keys(**values):
  return keys_lib.Keys({'llama.x': 1, 'gpt2.y': 2} | {
      f'llama.{key}': value for key, value in values.items()}, 'llama')


def test_values_of_one_architecture_are_taken():
  found = keys()
  assert found.take('x', 'whole') == 1
  assert found.take('y', 'whole') is None
  assert found.take('y', 'whole', 5) == 5
  found.finish()


def test_a_value_that_nothing_took_is_named():
  with pytest.raises(ValueError, match='llama.z = 7 is not known'):
    found = keys(z=7)
    found.take('x', 'whole')
    found.finish()


def test_a_real_number_has_the_digits_that_float32_tells():
  assert keys(e=9.999999747378752e-06).take('e', 'real') == 1e-5


@pytest.mark.parametrize('value, kind', [
    (1.5, 'whole'), ('1', 'whole'), (True, 'whole'), (1, 'truth'),
    ([1, 2], 'whole'), (3, 'text'), (False, 'real')])
def test_a_value_of_another_kind_is_refused(value, kind):
  with pytest.raises(ValueError, match=f'llama.k should be a single {kind}'):
    keys(k=value).take('k', kind)


def test_a_needed_or_expected_value_is_named():
  with pytest.raises(ValueError, match='no value for llama.k'):
    keys().need('k', 'whole')
  with pytest.raises(ValueError, match='llama.x is 1, and is read with 2 or 3'):
    keys().expect('x', 'whole', 2, 3)
