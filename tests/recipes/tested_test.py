"""What is told and drawn of a fine-tuned run."""
import types

from lmjax.evaluation import estimates
from lmjax.recipes import tested


def _result(**metrics):
  return types.SimpleNamespace(metrics={
      name: estimates.Estimate(value) for name, value in metrics.items()})


def test_notes_cannot_control_the_terminal(capsys):
  tested.tell(['labels: a (2)', 'b\x1b[2J'])
  assert capsys.readouterr().out == 'labels: a (2)\nb[2J\n'


def test_the_page_has_the_tables_of_the_models_errors(monkeypatch, tmp_path):
  pages = []
  monkeypatch.setattr(tested.run_page, 'write', lambda *_, **page: (
      pages.append(page['tables'])))
  for name in 'run', 'config':
    (tmp_path / name).write_text('[{}]')
  monkeypatch.setattr(tested.summary, 'of_start', lambda start: {})
  run = types.SimpleNamespace(
      path=tmp_path, page=tmp_path / 'page', facts=tmp_path / 'run',
      config=tmp_path / 'config')
  head, rows = ('answer', 'how often'), [('a', '3')]
  tested._write_page(
      run, {}, {'': (('', 'model'), [('loss', '2'), ('macro-F1', '0.5')])},
      {'Errors': (head, rows)}, {}, (), {}, {}, 'macro_f1')
  assert list(pages[0]) == ['Test split', 'Errors']
  assert pages[0]['Errors'][:2] == (head, rows)
  assert pages[0]['Test split'].main == 1 and pages[0]['Errors'].main is None


def test_the_curve_has_the_metric_of_each_baseline_that_knows_it():
  results = {'model': _result(accuracy=0.9), 'majority': _result(accuracy=0.5),
             'ridge': _result(pearson=0.3), 'blank': _result(accuracy=None)}
  assert tested._on_test(results, 'valid/accuracy') == {'majority (test)': 0.5}
