"""experiments/compare.py on runs that were counted."""
import importlib.util
import pathlib

import pytest

from lmjax.core import errors
from lmjax.data import pipeline
from lmjax.data.text import sources
from lmjax.data.text import splits
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.models.counted import ngram
from lmjax.recipes import counting

ROOT = pathlib.Path(__file__).parents[1]


def script():
  spec = importlib.util.spec_from_file_location(
      'compare', ROOT / 'experiments/compare.py')
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  return module


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
  """Two n-grams of the same text: [path, path]."""
  path = tmp_path_factory.mktemp('runs')
  data = pipeline.DataConfig(
      source=sources.InMemory(tuple(
          f'document {i} says {i * i}, and {i} again' for i in range(60))),
      split=splits.HashSplit(valid=0.3, test=0), tokenizer=symbols.Bytes())
  for order in 1, 4:
    counting.count(experiment.Count(data=data, model=ngram.NgramConfig(order)),
                   str(path / f'order={order}'))
  return [str(path / f'order={order}') for order in (1, 4)]


def test_two_runs_are_compared_and_written(runs, tmp_path, capsys):
  found = script().compare(runs, out=str(tmp_path / 'out'))
  assert found.contrasts[0].found.shown
  printed = capsys.readouterr().out
  assert 'order=4 is better than order=1 by' in printed
  assert 'model.order' in printed and f'{tmp_path}/out/compare.png' in printed
  assert {path.name for path in (tmp_path / 'out').iterdir()} == {
      'compare.json', 'compare.png'}


def test_nothing_is_written_unless_asked(runs, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  script().compare(runs)
  assert not list(tmp_path.iterdir())


def test_one_run_cannot_be_compared(runs):
  with pytest.raises(errors.InputError, match='at least two runs'):
    script().compare(runs[:1])
