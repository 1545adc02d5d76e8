"""Configs refuse the impossible, and survive editing."""
import dataclasses

import pytest

from lmjax.core import changes
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.data import continuous
from lmjax.data import pipeline
from lmjax import experiment
from lmjax.objectives import truncated
from lmjax.training import guard

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
    'kind', [experiment.Pretrain, experiment.Count, experiment.Finetune],
    ids=lambda k: k.__name__)
def test_configs_survive_editing(kind):
  assert config_lib.freeze(kind, config_lib.to_dict(kind())) == kind()


def test_a_state_is_carried_over_rows_that_go_on():
  with pytest.raises(errors.InputError, match='Continuous and Causal'):
    experiment.Pretrain(data=pipeline.DataConfig(
        packing=continuous.Continuous(streams=32), batch_size=32))
  with pytest.raises(errors.InputError, match='Packed and TruncatedBPTT'):
    experiment.Pretrain(objective=truncated.TruncatedBPTT())


@pytest.mark.parametrize('kind', [
    experiment.Pretrain, experiment.Finetune, experiment.Count])
def test_what_may_change_are_fields(kind):
  config = kind()
  if hasattr(config, 'training'):  # With all its parts.
    config = dataclasses.replace(config, training=experiment.Training(
        guard=guard.Guard(spike=guard.Spike())))
  fields = config_lib.leaves(config_lib.to_dict(config))
  rules = kind.changes
  names = [*rules.structural, *rules.cosmetic, *(n for n, _ in rules.notes)]
  assert names and 'model' in rules.structural
  changes.check_names(names, fields)


def test_a_mesh_that_cannot_be_is_refused():
  with pytest.raises(errors.InputError, match="'jit'.*--parallel=mesh"):
    experiment.Training(mesh='data:8')
  with pytest.raises(errors.InputError, match="'sequel'"):
    experiment.Training(parallel='mesh', mesh='sequel:8')
  for mesh, microbatches, told in (
      ('tensor:8', 1, 'num_heads is 4'), ('data:3', 1, '32 rows.*3 parts'),
      ('fsdp:8', 8, '32 rows.*64 parts.*is 64')):
    training = experiment.Training(
        parallel='mesh', mesh=mesh, microbatches=microbatches)
    with pytest.raises(errors.InputError, match=told):
      experiment.Pretrain(training=training)


def test_sizes_of_the_mesh_by_strategy():
  def batch_shards(**fields):
    sizes = experiment.Training(**fields).mesh_sizes(8)
    return sizes['data'], sizes['fsdp'], sizes['tensor']
  assert batch_shards() == (1, 1, 1)
  assert batch_shards(parallel='pmap') == (8, 1, 1)
  assert batch_shards(parallel='mesh') == (1, 8, 1)
  assert batch_shards(parallel='mesh', mesh='tensor:2') == (1, 1, 2)
