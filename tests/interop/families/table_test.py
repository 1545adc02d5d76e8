"""Every family writes configs that it reads, and covers its parameters."""
import dataclasses
import json
import math
import pathlib

import jax
import pytest

from lmjax.interop import families
from lmjax.interop import importing
from lmjax.interop.families import family as family_lib
from lmjax.models import cost

# Facts from the config.json of models on the Hugging Face Hub: all fields, the
# names of some tensors where the config depends on them, and how many
# parameters the model is published to have.
PUBLISHED = json.loads((
    pathlib.Path(__file__).parents[2] / 'reference/published_configs.json'
).read_text())
COUNTED = [name for name, entry in PUBLISHED.items() if 'parameters' in entry]


def read(name):
  """Returns the family and the config of a published model."""
  tree, names = PUBLISHED[name]['config'], PUBLISHED[name].get('names', [])
  family = importing.named(tree, set(names))
  return family, family.config(tree, set(names), accept=['auto_map'])


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


def test_every_family_has_a_published_config():
  missing = families.FAMILIES.keys() - {
      entry['config'].get('model_type') for entry in PUBLISHED.values()}
  assert not missing


@pytest.mark.parametrize('name', PUBLISHED)
def test_a_published_config_is_read_and_can_be_written(name):
  family, config = read(name)
  family.fields(config)  # Raises if it were read back as another model.


@pytest.mark.slow
@pytest.mark.parametrize('name', COUNTED)
def test_a_published_model_has_as_many_parameters_as_published(name):
  _, config = read(name)
  if any(field.name == 'scan' for field in dataclasses.fields(config)):
    config = dataclasses.replace(config, scan=True)  # Traced in no time.
  found = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(
      cost.shapes(config)))
  assert found == PUBLISHED[name]['parameters']
