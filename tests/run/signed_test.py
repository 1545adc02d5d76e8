"""Files of a run that were edited are found out by what checkpoints contain."""
import json

import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax import experiment
from lmjax.run import directory
from lmjax.run import signed


@pytest.fixture
def run(tmp_path):
  return directory.open_run(tmp_path / 'run', experiment.Pretrain())


@pytest.fixture
def about(run):
  return {'step': 7, 'facts': json.loads(json.dumps(signed.facts(run) | {
      'pipeline': {'data.tokenizer: ids': 'a' * 64, 'data.seed': 0}}))}


def edit(run, **changes):
  """Writes config.json with changes, as an editor would."""
  config = config_lib.freeze(
      experiment.Pretrain, json.loads(run.config.read_text()))
  run.config.write_text(config_lib.dumps(overrides.override(
      config, {path.replace('__', '.'): v for path, v in changes.items()})))


def test_a_run_as_it_was_saved_passes(run, about):
  signed.check(run, about, 'a' * 64)


@pytest.mark.parametrize('changes, told', [
    ({'model__block__mixer__num_heads': 2},
     'model.block.mixer.num_heads in config.json: 4 -> 2'),
    ({'objective__kind': 'MaskedLM'},
     "objective.kind in config.json: 'Causal' -> 'MaskedLM'"),
    ({'data__tokenizer__kind': 'Bytes'}, 'data.tokenizer.kind in config.json'),
])
def test_another_model_is_refused(run, about, changes, told):
  edit(run, **changes)
  with pytest.raises(errors.InputError, match=told) as caught:
    signed.check(run, about, 'a' * 64)
  assert 'than its checkpoint of step 7 (saved -> found)' in str(caught.value)


@pytest.mark.parametrize('changes', [
    {'model__scan': True}, {'model__remat': 'full'}, {'data__cache': 'x'},
    {'training__steps': 5}, {'data__source__kind': 'InMemory',
                             'data__source__texts': ('a',)},
    {'samples__max_new_tokens': 5}, {'scoring__stride': 7}])
def test_the_model_may_be_read_with_other_data_or_layout(run, about, changes):
  edit(run, **changes)
  signed.check(run, about, 'a' * 64)


def test_differences_that_a_start_has_accepted_pass(run, about):
  edit(run, model__block__dropout=0.5)
  with pytest.raises(errors.InputError, match='dropout'):
    signed.check(run, about, 'a' * 64)
  starts = json.loads(run.facts.read_text())
  starts.append({'accepted': {'model.block.dropout': [0.0, 0.5, 'override']}})
  run.facts.write_text(json.dumps(starts))
  signed.check(run, about, 'a' * 64)
  edit(run, model__block__dropout=0.6)  # Another value than was accepted.
  with pytest.raises(errors.InputError, match='0.0 -> 0.6'):
    signed.check(run, about, 'a' * 64)
  run.facts.write_text('[')
  with pytest.raises(errors.InputError, match='dropout'):
    signed.check(run, about, 'a' * 64)


def test_another_tokenizer_is_refused(run, about):
  with pytest.raises(errors.InputError,
                     match="tokenizer: 'aaaaaaaaaaaa' -> 'bbbbbbbbbbbb'"):
    signed.check(run, about, 'b' * 64)


def test_files_of_a_fine_tuned_run_are_compared_too(run):
  run.backbone.write_text('{"kind": "DecoderConfig", "num_heads": 4}')
  run.task.write_text('{"labels": ["no", "yes"]}')
  about = {'step': 7, 'facts': signed.facts(run)}
  signed.check(run, about, 'a')
  run.task.write_text('{"labels": ["yes", "no"]}')
  run.backbone.write_text('{"kind": "DecoderConfig", "num_heads": 2}')
  with pytest.raises(errors.InputError) as caught:
    signed.check(run, about, 'a')
  assert "labels in task.json: ['no', 'yes'] -> ['yes', 'no']" in str(
      caught.value)
  assert 'num_heads in backbone.json: 4 -> 2' in str(caught.value)
  run.task.write_text('{')
  with pytest.raises(errors.InputError, match='task.json is not JSON'):
    signed.check(run, about, 'a')


def test_checkpoints_of_an_older_lmjax_are_not_compared(run):
  edit(run, model__block__mixer__num_heads=2)
  signed.check(run, {'step': 7, 'facts': {}}, 'a')


def test_a_run_continues_with_the_config_of_its_checkpoint(run, about):
  rules = experiment.Pretrain.changes
  edit(run, training__log_every=7, data__cache='x')
  signed.check_continued(run, about, rules, ())
  edit(run, optimizer__learning_rate=0.5)
  with pytest.raises(errors.InputError, match=(
      'The checkpoint of step 7 in .*\n  optimizer.learning_rate: 0.001 -> 0.5')):
    signed.check_continued(run, about, rules, ())
  signed.check_continued(run, about, rules, ['optimizer.learning_rate'])
  edit(run, optimizer__learning_rate=0.001, model__width=256)
  with pytest.raises(errors.InputError, match='checkpoints do not fit'):
    signed.check_continued(run, about, rules, ['model.width'])
