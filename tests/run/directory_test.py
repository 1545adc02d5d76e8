"""A run directory belongs to one config."""
import dataclasses
import json
import os
from typing import ClassVar

import pytest

from lmjax.core import changes
from lmjax.core import errors
from lmjax.run import directory


@dataclasses.dataclass(frozen=True)
class Model:
  width: int = 8


@dataclasses.dataclass(frozen=True)
class Config:
  model: Model = Model()
  seed: int = 0
  steps: int = 10
  log_every: int = 5
  changes: ClassVar = changes.Rules(
      structural=('model',), cosmetic=('log_every',),
      notes=(('steps', 'The rate jumps.'),))


def test_config_and_facts_are_written(tmp_path):
  run = directory.open_run(tmp_path / 'a' / 'b', Config(), {'data': 'd' * 64})
  assert not run.resumed
  assert json.loads(run.config.read_text())['model']['width'] == 8
  facts, = json.loads(run.facts.read_text())
  assert facts['versions']['jax'] and facts['versions']['python']
  assert facts['hashes'] == {'data': 'd' * 64}
  assert set(facts) >= {'git', 'command', 'devices', 'started'}
  assert sorted(p.name for p in run.path.iterdir()) == [
      'config.json', 'run.json']


def test_the_same_config_resumes(tmp_path):
  directory.open_run(tmp_path, Config(), {'data': 'a'})
  run = directory.open_run(tmp_path, Config(), {'data': 'a'})
  assert run.resumed
  assert len(json.loads(run.facts.read_text())) == 2


def test_another_config_is_refused_with_a_table(tmp_path):
  run = directory.open_run(tmp_path, Config())
  before = run.config.read_text(), run.facts.read_text()
  for other, override in (
      (Config(model=Model(width=16), seed=3), ['model', 'seed']),
      (Config(seed=3), ['steps'])):
    with pytest.raises(errors.InputError) as caught:
      directory.open_run(tmp_path, other, override=override)
    text = str(caught.value)
    assert str(tmp_path) in text and '--workdir' in text
    assert ('seed: 0 -> 3' in text) == ('seed' not in override)
    assert ('model.width: 8 -> 16' in text) == (other.model.width == 16)
    assert 'steps' not in text
    assert (run.config.read_text(), run.facts.read_text()) == before


def test_accepted_changes_are_printed_and_recorded(tmp_path, capsys):
  directory.open_run(tmp_path, Config(), {'seed: file': 'a'})
  assert not capsys.readouterr().err
  other = Config(seed=3, steps=20, log_every=1)
  hashes = {'seed: file': 'b'}
  with pytest.raises(errors.InputError, match='The rate jumps'):
    directory.check(tmp_path, other, override=['seed'])
  run = directory.open_run(tmp_path, other, hashes, override=['seed', 'steps'])
  assert run.resumed and json.loads(run.config.read_text())['steps'] == 20
  told = capsys.readouterr().err
  assert told.count('\n') == 1 and 'seed: 0 -> 3 (override)' in told
  assert 'log_every: 5 -> 1 (cosmetic)' in told
  assert json.loads(run.facts.read_text())[-1]['accepted'] == {
      'seed': [0, 3, 'override'], 'steps': [10, 20, 'override'],
      'log_every': [5, 1, 'cosmetic'], 'seed: file': ['a', 'b', 'override']}

  again = directory.open_run(tmp_path, other, hashes)  # Now it is the saved one.
  assert 'accepted' not in json.loads(again.facts.read_text())[-1]
  assert not capsys.readouterr().err


def test_unknown_fields_in_override_are_refused(tmp_path):
  for _ in range(2):
    with pytest.raises(errors.InputError, match="Did you mean 'seed'"):
      directory.open_run(tmp_path, Config(), override=['sed'])
    directory.open_run(tmp_path, Config(), override=['seed', 'model'])


def test_changed_data_are_refused(tmp_path):
  directory.open_run(tmp_path, Config(), {'data: a.txt': 'a' * 64, 'other': 'x'})
  with pytest.raises(errors.InputError, match='data: a.txt changed: aaaa'):
    directory.open_run(tmp_path, Config(), {'data: a.txt': 'b' * 64})


def test_unreadable_record_is_refused(tmp_path):
  directory.open_run(tmp_path, Config()).config.write_text('{"kind": ')
  with pytest.raises(errors.InputError, match='cannot be read'):
    directory.open_run(tmp_path, Config())


def test_a_file_is_not_a_directory(tmp_path):
  (tmp_path / 'file').write_text('x')
  for path in tmp_path / 'file', tmp_path / 'file' / 'below':
    with pytest.raises(errors.InputError, match='is a file'):
      directory.check(path, Config())


def test_checking_changes_nothing(tmp_path):
  assert not directory.check(tmp_path / 'a' / 'b', Config()).resumed
  assert not list(tmp_path.iterdir())
  directory.open_run(tmp_path, Config())
  with pytest.raises(errors.InputError, match='seed: 0 -> 3'):
    directory.check(tmp_path, Config(seed=3))


def test_unwritable_directory(tmp_path, monkeypatch):
  monkeypatch.setattr(os, 'access', lambda path, mode: False)  # Root may all.
  with pytest.raises(errors.InputError, match='no permission in'):
    directory.open_run(tmp_path / 'new', Config())
  assert not list(tmp_path.iterdir())
