"""Every family writes configs that it reads, and covers its parameters."""
import pathlib

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
  room, module = families.FAMILIES[model_type].rows.__module__.split('.')[-2:]
  path = pathlib.Path(__file__).parent / room / f'{module}_test.py'
  assert 'parity.' in path.read_text()
