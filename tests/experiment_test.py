"""Configs refuse the impossible; a run directory is read back or refused."""
import dataclasses

import pytest

from lmjax import experiment
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.data import symbols
from lmjax.models import decoder
from lmjax.models import presets
from lmjax.training import checkpoints
from lmjax.training import optimizers
from lmjax.training import rundir
from lmjax.training import step

CONFIG = experiment.Pretrain(
    model=presets.gpt2(8, 1, 2, vocab_size=None, context=8))


def _run(path):
  """Writes a run directory without training."""
  run = rundir.open_run(path, CONFIG, {'data': 'd', 'tokenizer': 't'})
  tokenizer = symbols.Bytes().build()
  tokenizer.save(run.tokenizer)
  model = CONFIG.model.with_vocab(tokenizer.vocab_size).build()
  params = decoder.initial_params(model, 0)
  optimizer = optimizers.SGD().build(params, 1)
  with checkpoints.Checkpoints(run.checkpoints) as saved:
    saved.save(1, step.init_state(params, optimizer, 0), score=1.0)
  return run


@pytest.mark.parametrize('change, told', [
    ({'steps': 0}, 'training.steps'), ({'ema_decay': 1.0}, 'ema_decay'),
    ({'eval_every': 0}, 'eval_every')])
def test_impossible_training_is_refused(change, told):
  with pytest.raises(errors.InputError, match=told):
    experiment.Training(**change)


def test_fit_options_are_fields_of_the_config():
  options = experiment.Training(steps=7, microbatches=2).fit_options()
  assert options['steps'] == 7 and options['microbatches'] == 2
  assert options.keys() < {
      f.name for f in dataclasses.fields(experiment.Training)}


@pytest.mark.parametrize(
    'kind', [experiment.Pretrain, experiment.Finetune],
    ids=lambda k: k.__name__)
def test_configs_survive_editing(kind):
  assert config_lib.freeze(kind, config_lib.editable(kind())) == kind()


def test_a_run_is_read_back_whole(tmp_path):
  run = _run(tmp_path)
  trained = experiment.load(run.path)
  assert trained.step == 1
  assert trained.config.model.vocab_size == trained.tokenizer.vocab_size == 258
  logits_BTV, _ = trained.model.apply(
      {'params': trained.params}, trained.tokenizer.encode('abc')[None])
  assert logits_BTV.shape == (1, 3, 258)


def test_what_is_no_run_is_refused(tmp_path):
  with pytest.raises(errors.InputError, match='not a run directory'):
    experiment.load(tmp_path)
  (tmp_path / 'config.json').write_text('{')
  with pytest.raises(errors.InputError, match='not JSON'):
    experiment.load(tmp_path)
