"""Every family reads published configs, and computes as the reference does."""
import dataclasses
import json
import math
import pathlib

import jax
import pytest

from lmjax.core import errors
from lmjax.interop import families
from lmjax.interop import importing
from lmjax.interop.families import family as family_lib
from lmjax.models import cost
from lmjax.models.presets import lookup
from tests.reference import families as references
from tests.reference.families import presets
from tests.reference.families import refused
from tests.reference import parity

# Facts from the config.json of models on the Hugging Face Hub: all fields, the
# names of some tensors where the config depends on them, and how many
# parameters the model is published to have.
PUBLISHED = json.loads((
    pathlib.Path(__file__).parents[2] / 'reference/published_configs.json'
).read_text())
PRESETS = [(family, *both) for family, names in presets.PRESETS.items()
           for both in names.items()]
REFUSED = [(family, change) for family, changes in refused.CHANGES.items()
           for change in changes]
CASES = [(name, case) for name, family in references.FAMILIES.items()
         for case in family.cases]
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
def test_a_family_is_compared_with_the_reference(model_type):
  module = families.FAMILIES[model_type].rows.__module__.rpartition('.')[2]
  assert references.FAMILIES[module].cases


def test_every_family_has_a_published_config():
  missing = families.FAMILIES.keys() - {
      entry['config'].get('model_type') for entry in PUBLISHED.values()}
  assert not missing


@pytest.mark.parametrize('name', PUBLISHED)
def test_a_published_config_is_read_and_can_be_written(name):
  family, config = read(name)
  family.fields(config)  # Raises if it were read back as another model.


@pytest.mark.parametrize('family, preset, published', PRESETS)
def test_a_preset_is_the_published_model_and_can_be_written(
    family, preset, published):
  config = lookup.named(preset)
  if published is not None:
    tree = PUBLISHED[published]['config']
    found = families.FAMILIES[family].config(
        tree, presets.HEADS.get(family, frozenset()), accept=['auto_map'])
    want = config if config.vocab_size else config.with_vocab(
        found.vocab_size)
    assert family_lib.computing(found) == family_lib.computing(want)
  families.FAMILIES[family].fields(  # Raises if it is read as another model.
      config if config.vocab_size else config.with_vocab(1000))


@pytest.mark.parametrize('family, change', REFUSED)
def test_a_field_with_another_meaning_is_refused(family, change):
  row = references.FAMILIES[family]
  with pytest.raises(errors.InputError, match=next(iter(change))):
    families.FAMILIES[family].config({**row.size, **row.written, **change})


def test_every_family_refuses_some_fields():
  assert refused.CHANGES.keys() == references.FAMILIES.keys()


@pytest.mark.slow
@pytest.mark.parametrize('name', COUNTED)
def test_a_published_model_has_as_many_parameters_as_published(name):
  _, config = read(name)
  if any(field.name == 'scan' for field in dataclasses.fields(config)):
    config = dataclasses.replace(config, scan=True)  # Traced in no time.
  found = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(
      cost.shapes(config)))
  assert found == PUBLISHED[name]['parameters']


@pytest.mark.slow
@pytest.mark.parametrize('name, case', CASES, ids=map(': '.join, CASES))
def test_the_reference_computes_the_same_in_both_directions(
    name, case, tmp_path):
  references.FAMILIES[name].check(case, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize('name', references.FAMILIES)
def test_wrong_fields_are_far_outside_of_the_tolerance(name, tmp_path):
  right, *wrong = references.FAMILIES[name].errors(tmp_path)
  assert right < parity.LOGITS
  assert min(wrong) > 4 * parity.LOGITS, wrong
