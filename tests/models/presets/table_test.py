"""The table of named sizes."""
import importlib
import json
import pathlib

import pytest

from lmjax.core import config as config_lib
from lmjax import experiment
from lmjax.models import presets

FAMILIES = sorted(
    path.stem for path in pathlib.Path(presets.__file__).parent.glob('*.py')
    if path.stem not in ('__init__', 'lookup'))


def test_each_family_is_in_the_table_and_no_name_is_given_twice():
  sizes = [size for name in FAMILIES for size in importlib.import_module(
      f'lmjax.models.presets.{name}').PRESETS.items()]
  assert len(sizes) == len(presets.PRESETS)
  assert dict(sizes) == presets.PRESETS


@pytest.mark.parametrize('name', presets.PRESETS)
def test_each_can_be_the_model_of_a_run(name):
  run = experiment.Pretrain(model=presets.PRESETS[name])
  saved = json.loads(config_lib.dumps(run))
  assert config_lib.freeze(experiment.Pretrain, saved) == run
