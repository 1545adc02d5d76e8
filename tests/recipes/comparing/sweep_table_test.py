"""The table of a sweep has means over seeds and marks the best honestly."""
import dataclasses
import json
import math

import pytest

from lmjax import experiment
from lmjax.recipes.comparing import sweep
from lmjax.recipes.comparing import sweep_table
from lmjax.training import stopping

RATE = 'optimizer.learning_rate'


def row(rate, *scores, missing=()):
  return sweep_table.Row(
      {RATE: rate}, {f'{rate},{i}': x for i, x in enumerate(scores)}, missing)


def table(*rows, higher=False):
  return sweep_table.Table('held-out nats/token', higher, rows)


def point(run, config, seed=0, **settings):
  return sweep.Point(settings, seed, {}, config, run)


def test_scores_are_averaged_over_seeds(pretrained):
  config = experiment.Pretrain()
  config = dataclasses.replace(config, training=dataclasses.replace(
      config.training, steps=9))
  points = [point(pretrained(f'{rate},{seed}', nats, config=config), config,
                  seed, rate=rate)
            for rate, seed, nats in (
                ('1', 0, 2.0), ('1', 1, 2.2), ('2', 0, 1.0))]
  points.append(point(points[0].workdir / 'absent', config, 1, rate='2'))
  found = sweep_table.Table.of(points)
  first, second = found.rows
  offset = list(second.runs.values())[0] - 1.0
  assert first.score.value == pytest.approx(2.1 + offset)
  assert first.score.stderr == pytest.approx(0.1)
  assert second.missing == ['absent'] and second.score.stderr is None
  assert found.metric == 'held-out nats/token' and found.best() is second


def test_other_tokenizers_are_compared_by_bytes(pretrained):
  config = experiment.Pretrain()
  config = dataclasses.replace(config, training=dataclasses.replace(
      config.training, steps=9))
  found = sweep_table.Table.of([
      point(pretrained(name, config=config, tokenizer=name), config, rate=name)
      for name in 'ab'])
  assert found.metric == 'held-out bits/byte'


def test_tuned_runs_are_chosen_on_validation_text(tuned):
  stop = stopping.EarlyStopping('valid/accuracy', higher_is_better=True)
  config = experiment.Finetune()
  config = dataclasses.replace(config, training=dataclasses.replace(
      config.training, steps=3, stop=stop))
  points = []
  for name, best in ('a', 0.6), ('b', 0.9):
    run = tuned(name, [], training=config.training)
    (run / 'metrics.jsonl').write_text(''.join(
        json.dumps({'step': step, 'valid/accuracy': value}) + '\n'
        for step, value in enumerate((0.1, best, 0.3), 1)))
    points.append(point(run, config, rate=name))
  found = sweep_table.Table.of(points)
  assert (found.metric, found.higher_is_better) == ('valid/accuracy', True)
  assert [list(row.runs.values()) for row in found.rows] == [[0.6], [0.9]]
  assert found.best() is found.rows[1] and 'the test split' in found.told()[0]


def test_the_best_is_marked_with_those_it_is_not_told_apart_from():
  found = table(row('0.1', 2.0, 2.2), row('0.2', 1.9, 2.1), row('0.3', 9., 9.1))
  assert found.best() is found.rows[1]
  told, = found.told()
  assert 'Within 2 standard errors of it: learning_rate=0.1.' in told
  assert table(*found.rows, higher=True).best() is found.rows[2]


def test_single_runs_are_said_to_be_single():
  assert '--seeds=3' in table(row('1', 2.0), row('2', 3.0)).told()[0]


def test_a_score_that_is_not_finite_is_never_the_best():
  found = table(row('1', 2.0), row('2', 1.0, math.nan), row('3', math.inf))
  assert found.best() is found.rows[0]
  assert table(row('1', math.nan)).told() == ['No run has a score yet.']


def test_the_table_is_printed_and_saved(tmp_path, capsys):
  found = table(row('0.001', 2.0, 2.5), row('0.01', 3.0, missing=['x']))
  found.show()
  lines = capsys.readouterr().out.splitlines()
  assert any(line.split() == ['*', '0.001', '2', '2.2500', '0.2500']
             for line in lines)
  assert any(line.split() == ['0.01', '1', 'of', '2', '3.0000', '-']
             for line in lines)
  found.save(tmp_path)
  saved = json.loads((tmp_path / 'sweep.json').read_text())
  assert [each['best'] for each in saved['rows']] == [True, False]
  assert saved['rows'][1]['missing'] == ['x']
  assert (tmp_path / 'sweep.png').read_bytes().startswith(b'\x89PNG')


@pytest.mark.parametrize('settings', [
    ({'a.kind': 'X'}, {'a.kind': 'Y'}),
    ({'a': '1', 'b': 'x'}, {'a': '2', 'b': 'x'}, {'a': '2', 'b': 'y'}),
    ({'a': '1'},), ({},)])
def test_any_sweep_has_a_plot(settings, tmp_path):
  rows = [sweep_table.Row(each, {'r': 1.0}, ()) for each in settings]
  sweep_table.plot(tmp_path / 'x.png', table(*rows))
  assert (tmp_path / 'x.png').exists()


@pytest.mark.parametrize('numbers, log', [
    ([1e-3, 3e-3], True), ([2, 4], False), ([1, 10, 100], True),
    ([1, 2, 3], False), ([0, 1, 10], False), ([5], False)])
def test_factors_are_drawn_on_a_logarithmic_axis(numbers, log):
  assert sweep_table._multiplied(numbers) == log
