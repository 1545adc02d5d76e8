"""Every run of a sweep is checked before the first, under a name of its own."""
import dataclasses
import json
import pathlib
import shlex

import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax import experiment
from lmjax.recipes.comparing import sweep
from lmjax.training import stopping

CLS = experiment.Pretrain | experiment.Count | experiment.Finetune
PRETRAIN = experiment.Pretrain()
RATES = {'optimizer.learning_rate': ['1e-3', '3e-3']}


def points(swept=RATES, seeds=1, base=PRETRAIN, workdir='runs', **given):
  return sweep.points(
      base, CLS, {k.replace('__', '.'): v for k, v in given.items()}, swept,
      seeds, pathlib.Path(workdir))


def test_every_combination_and_seed_is_a_run():
  found = points(RATES | {'model.num_layers': ['2', '4']}, seeds=2)
  assert [point.name for point in found][:3] == [
      'optimizer.learning_rate=0.001,model.num_layers=2,seed=0',
      'optimizer.learning_rate=0.001,model.num_layers=2,seed=1',
      'optimizer.learning_rate=0.001,model.num_layers=4,seed=0']
  assert len({point.name for point in found}) == 8
  last = found[-1].config
  assert (last.optimizer.learning_rate, last.model.num_layers,
          last.training.seed, last.data.seed) == (0.003, 4, 1, 1)


def test_seeds_count_up_from_those_of_the_config():
  found = points(seeds=2, training__seed='7', data__seed='3')
  assert [(p.seed, p.config.training.seed, p.config.data.seed)
          for p in found[:2]] == [(7, 7, 3), (8, 8, 4)]


def test_runs_share_their_tokenized_text():
  assert points()[0].config.data.cache == 'runs/cache'
  assert points(data__cache='mine')[0].config.data.cache == 'mine'
  point, _ = points(base=experiment.Finetune())
  assert 'data.cache' not in point.changes and point.script == 'finetune'


def test_a_kind_that_varies_keeps_what_is_given_for_all():
  found = points({'optimizer.kind': ['AdamW', 'Lion']},
                 optimizer__learning_rate='0.5')
  assert [type(p.config.optimizer).__name__ for p in found] == ['AdamW', 'Lion']
  assert {p.config.optimizer.learning_rate for p in found} == {0.5}
  assert found[1].name == 'optimizer.kind=Lion,seed=0'


@pytest.mark.parametrize('swept, message', [
    ({'optimizer.lerning_rate': ['1']},
     'sweep.optimizer.lerning_rate.*--config.optimizer.learning_rate'),
    ({'model.num_layers': ['2', 'two']}, "--sweep.model.num_layers .*'two'"),
    ({'optimizer.learning_rate': ['1e-3', '0.001']}, 'given twice'),
    ({'optimizer.kind': ['AdamW', 'Lino']}, "'Lion'"),
])
def test_a_value_that_cannot_be_is_refused_for_all_runs(swept, message):
  with pytest.raises(errors.InputError, match=message):
    points(swept)


def test_a_field_is_either_the_same_or_varies():
  with pytest.raises(errors.InputError, match='both --config.optimizer.learn'):
    points(optimizer__learning_rate='1')
  with pytest.raises(errors.InputError, match='--sweep.training.seed'):
    points({'training.seed': ['1', '2']}, seeds=2)
  assert [p.name for p in points({'training.seed': ['1', '2']})] == [
      'training.seed=1', 'training.seed=2']


def test_a_counted_model_has_no_seeds():
  orders = {'model.order': ['2', '3']}
  found = points(orders, base=experiment.Count())
  assert [point.name for point in found] == ['model.order=2', 'model.order=3']
  with pytest.raises(errors.InputError, match='NgramConfig is counted'):
    points(orders, 2, base=experiment.Count())


def test_names_are_safe_on_any_file_system():
  found = points({'data.source.kind': ['TextFiles'],
                  'data.source.paths': ['a/b:c.txt', '["x, y", "%z"]']})
  assert [point.name.partition('paths=')[2] for point in found] == [
      'a%2Fb%3Ac.txt,seed=0', '[%22x, y%22, %22%25z%22],seed=0']


def test_long_names_are_cut_and_stay_apart():
  found = points({'data.source.kind': ['TextFiles'],
                  'data.source.paths': ['ü' * 150 + 'a', 'ü' * 150 + 'b']})
  assert len({point.name for point in found}) == 2
  assert all(len(point.name.encode()) <= 200 for point in found)


def test_the_command_says_all_that_the_run_needs():
  command = points()[0].command(
      pathlib.Path('experiments'), 'demo', ['--watchdog_s=0'])
  assert shlex.join(command[1:]) == (
      'experiments/pretrain.py '
      '--workdir=runs/optimizer.learning_rate=0.001,seed=0 --config=demo '
      '--config.optimizer.learning_rate=1e-3 --config.data.cache=runs/cache '
      '--config.training.seed=0 --config.data.seed=0 --watchdog_s=0')


def write(point, config=None, step=1000):
  """Writes what a finished run leaves."""
  point.workdir.mkdir(parents=True)
  (point.workdir / 'config.json').write_text(
      config_lib.dumps(config or point.config))
  (point.workdir / 'report.json').write_text('{}')
  (point.workdir / 'metrics.jsonl').write_text(
      json.dumps({'step': step, 'loss': 1.0}) + '\n')


def test_a_run_is_finished_with_its_report(tmp_path):
  point, other = points(workdir=tmp_path)
  assert not point.finished()
  write(point)
  assert point.finished() and not other.finished()
  (point.workdir / 'report.json').unlink()
  assert not point.finished()


def test_a_run_of_another_config_or_length_is_not_finished(tmp_path):
  config = points(workdir=tmp_path)[0].config
  training = dataclasses.replace(config.training, log_every=3)
  logged, shorter = (dataclasses.replace(config, training=dataclasses.replace(
      training, steps=steps)) for steps in (1000, 500))
  patient = dataclasses.replace(config, training=dataclasses.replace(
      training, stop=stopping.EarlyStopping(patience=2)))
  for name, saved, wanted, step, finished in (
      ('cosmetic', logged, config, 1000, True),
      ('shorter', shorter, config, 1000, False),
      ('extended', config, config, 500, False),
      ('stopped early', patient, patient, 500, True)):
    point = sweep.Point({}, 0, {}, wanted, tmp_path / name)
    write(point, saved, step)
    assert point.finished() == finished, name
