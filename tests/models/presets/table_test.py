"""The table of named sizes."""
import json

import pytest

from lmjax.core import config as config_lib
from lmjax import experiment
from lmjax.models import presets


@pytest.mark.parametrize('name', presets.PRESETS)
def test_each_can_be_the_model_of_a_run(name):
  run = experiment.Pretrain(model=presets.PRESETS[name])
  saved = json.loads(config_lib.dumps(run))
  assert config_lib.freeze(experiment.Pretrain, saved) == run
