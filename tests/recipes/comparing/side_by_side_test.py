"""Runs side by side: the table, the fields that differ, the curve."""
import json
import math

from matplotlib import axes
import pytest

from lmjax.core import errors
from lmjax.recipes.comparing import outcome
from lmjax.recipes.comparing import side_by_side


line = axes.Axes.axhline


def compared(*runs):
  return side_by_side.Comparison.of([outcome.read(run) for run in runs])


def test_the_table_has_size_cost_and_score_of_each_run(pretrained):
  heads, rows = compared(pretrained('a'), pretrained('b', nats=1)).columns()
  assert heads == ['', 'model', 'parameters', 'tokens', 'time', 'likelihood',
                   'nats/token', '±', 'bits/byte']
  assert rows[0][:6] == ['a', 'Decoder', '123,456', '1,000', '1:02', 'exact']
  assert float(rows[0][6]) == pytest.approx(float(rows[1][6]) + 1)


def test_fields_that_differ_are_listed_unless_they_have_no_effect(
    pretrained, slower):
  found = compared(pretrained('a'), pretrained('b', config=slower)).differing()
  assert list(found) == ['optimizer.learning_rate']
  assert found['optimizer.learning_rate'][1] == 1e-5


def test_everything_is_printed_and_saved(pretrained, slower, tmp_path, capsys):
  found = compared(pretrained('a'), pretrained('b', nats=1, config=slower))
  found.show()
  printed = capsys.readouterr().out
  for part in 'Decoder', 'optimizer.learning_rate', 'b is better than a', (
      'sweep.py --seeds=3'):
    assert part in printed, part
  found.save(tmp_path / 'out')
  saved = json.loads((tmp_path / 'out/compare.json').read_text())
  assert saved['table'][1]['run'] == 'b'
  assert saved['tests'][0]['found']['units'] == 8
  assert saved['differing']['optimizer.learning_rate'][1] == 1e-5
  assert (tmp_path / 'out/compare.png').read_bytes().startswith(b'\x89PNG')


def test_equal_configs_are_said_to_be_equal(pretrained, capsys):
  compared(pretrained('a'), pretrained('b')).show()
  assert 'The configs do not differ.' in capsys.readouterr().out


def test_long_names_become_letters_that_are_explained(
    pretrained, tmp_path, capsys):
  names = [f'optimizer.learning_rate={rate}' for rate in (1, 2)]
  found = compared(*map(pretrained, names))
  assert [row[0] for row in found.columns()[1]] == ['A', 'B']
  found.show()
  printed = capsys.readouterr().out
  assert printed.startswith(f'A: {names[0]}\nB: {names[1]}\n')
  assert 'A and B score the same' in printed
  found.save(tmp_path)
  assert json.loads((tmp_path / 'compare.json').read_text())['runs'][
      'B'].endswith(names[1])


def test_curves_are_over_tokens_and_in_one_unit(pretrained):
  run = outcome.read(pretrained('a', nats=2.0, per_byte=2))
  assert side_by_side.curve(run, 'nats/token') == ([500, 900], [3.0, 2.0])
  tokens, losses = side_by_side.curve(run, 'bits/byte')
  assert losses == pytest.approx([6 / math.log(2), 4 / math.log(2)])


def test_curves_of_tuned_runs_are_over_steps(tuned):
  run = outcome.read(tuned('a', []))
  assert side_by_side.curve(run, 'nats/example') == ([3], [0.5])


def test_a_run_without_a_curve_is_a_line_at_its_score(pretrained, monkeypatch):
  run, lines = pretrained('a', nats=2.0), []
  (run / 'metrics.jsonl').unlink()
  monkeypatch.setattr(axes.Axes, 'axhline', lambda self, y, **style: (
      lines.append((y, style['label'])), line(self, y, **style)))
  found = outcome.read(run)
  side_by_side.plot(run / 'x.png', [found])
  assert lines == [(found.report.nats_per_token, 'a')]


def test_tuned_runs_have_their_metrics(tuned, capsys):
  found = compared(tuned('a', []), tuned('b', [], dropout=0.5))
  assert found.columns() == (
      ['', 'parameters', 'time', 'accuracy', '±'],
      [['a', '77', '1:06:40', '0.7500', '0.1000'],
       ['b', '77', '1:06:40', '0.7500', '0.1000']])
  found.show()
  assert 'dropout' in capsys.readouterr().out


def test_tuned_and_pretrained_runs_are_not_compared(tuned, pretrained):
  with pytest.raises(errors.InputError, match='runs of one kind'):
    compared(pretrained('a'), tuned('b', []))
