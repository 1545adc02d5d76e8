"""The model of a run is read back without the rest of it."""
import dataclasses
import json

import optax
import numpy as np
import pytest

from lmjax.checkpoints import store
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.interop import runs
from lmjax.models import decoder
from lmjax.models.presets import decoders
from lmjax.nn import readout
from lmjax.run import directory
from lmjax.run import signed
from lmjax.training import step as step_lib
from lmjax.training import stopping


@pytest.fixture
def workdir(tmp_path):
  """A run directory with a checkpoint of initial parameters."""
  run = directory.RunDir(tmp_path / 'run')
  config = experiment.Pretrain(
      model=decoders.gpt2(8, 1, 2, vocab_size=None, context=16))
  run.path.mkdir()
  run.config.write_text(config_lib.dumps(config))
  tokenizer = symbols.Bytes().build()
  tokenizer.save(run.tokenizer)
  model = config.model.with_vocab(tokenizer.vocab_size).build()
  params = decoder.initial_params(model, 0)
  with store.Checkpoints(run.checkpoints, facts=signed.facts(run)) as saved:
    saved.save(3, step_lib.init_state(params, optax.sgd(0.1), 0), stopping.Progress(), 1.0)
  return run.path, params


@pytest.mark.slow
def test_model_tokenizer_and_parameters_are_read(workdir):
  path, params = workdir
  found = runs.load(path)
  assert found.step == 3
  assert found.config.vocab_size == found.tokenizer.vocab_size == 258
  assert trees.digest(found.params) == trees.digest(params)


@pytest.mark.slow
def test_layers_are_stacked_as_the_config_says(workdir):
  """A run that went on with another `scan` has older checkpoints as well."""
  path, params = workdir
  config = json.loads((path / 'config.json').read_text())
  config['model']['scan'] = True
  (path / 'config.json').write_text(json.dumps(config))
  found = runs.load(path)
  assert found.params.keys() >= {'layers'}
  assert trees.digest(layouts.looped(found.params)) == trees.digest(params)
  ids = np.arange(6)[None]
  looped = dataclasses.replace(found.config, scan=False).build()
  np.testing.assert_allclose(
      found.model.apply({'params': found.params}, ids)[0],
      looped.apply({'params': params}, ids)[0], atol=1e-5)


def test_a_model_that_was_edited_is_refused(workdir):
  path, _ = workdir
  text = (path / 'config.json').read_text()
  assert text.count('"num_heads": 2') == 1
  (path / 'config.json').write_text(
      text.replace('"num_heads": 2', '"num_heads": 4'))
  for read in runs.load, runs.backbone:
    with pytest.raises(errors.InputError, match='num_heads.*: 2 -> 4'):
      read(path, 3)


@pytest.mark.slow
@pytest.mark.parametrize('text, told', [
    ('[]', 'not an object'), ('{', 'not JSON'),
    (config_lib.dumps(experiment.Count()), 'counted model')])
def test_directories_without_a_model_are_refused(workdir, text, told):
  path, _ = workdir
  (path / 'config.json').write_text(text)
  with pytest.raises(errors.InputError, match=told):
    runs.load(path)


def _imported(folder, generation):
  run = directory.RunDir(folder)
  run.imported.write_text(json.dumps({'generation': generation}))
  return run


def test_a_damaged_file_of_an_imported_run_is_named(tmp_path):
  for generation in [2], None:
    with pytest.raises(errors.InputError, match="json: 'generation' should be"):
      runs.read_continuing(_imported(tmp_path, generation), 10)
  run = directory.RunDir(tmp_path)
  run.imported.write_text('[]')
  with pytest.raises(errors.InputError, match='imported.json .* not an object'):
    runs.read_continuing(run, 10)


def test_how_vectors_are_read_out_is_kept_with_a_run(tmp_path):
  run = directory.RunDir(tmp_path)
  assert runs.read_readout(run) == readout.Readout()
  how = readout.Readout('cls', unit=True, length=256)
  runs.write_readout(run, how)
  assert runs.read_readout(run) == how
  run.readout.write_text('{"pooling": "median"}')
  with pytest.raises(errors.InputError, match='median'):
    runs.read_readout(run)


def test_published_weights_are_no_run_but_can_become_one(tmp_path):
  (tmp_path / 'config.json').write_text('{"model_type": "llama"}')
  with pytest.raises(errors.InputError, match='import_weights.py'):
    runs.load(tmp_path)
