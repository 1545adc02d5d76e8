"""Every family writes configs that it reads, and covers its parameters."""
import pytest

from lmjax.interop import families
from lmjax.interop.families import family as family_lib


def test_a_family_is_found_by_each_of_its_types():
  for model_type, family in families.FAMILIES.items():
    assert isinstance(family, family_lib.Family)
    assert model_type in family.model_types
    assert families.FAMILIES.keys() >= set(family.model_types)


def test_the_table_is_in_the_order_of_its_names():
  assert list(families.FAMILIES) == sorted(families.FAMILIES)


@pytest.mark.parametrize('model_type', families.FAMILIES)
def test_a_family_has_a_test_of_parity(model_type):
  module = families.FAMILIES[model_type].rows.__module__.rpartition('.')[2]
  with open(__file__.replace('table_test', f'{module}_test')) as file:
    assert 'parity.' in file.read()
