"""A directory belongs to one config."""
import dataclasses
import json
import os

import pytest

from lmjax.core import errors
from lmjax.training import rundir


@dataclasses.dataclass(frozen=True)
class Model:
  width: int = 8


@dataclasses.dataclass(frozen=True)
class Config:
  model: Model = Model()
  seed: int = 0
  steps: int = 10


def test_writes_what_the_run_was_made_of(tmp_path):
  run = rundir.open_run(tmp_path / 'a' / 'b', Config(), {'data': 'd' * 64})
  assert not run.resumed
  assert json.loads(run.config.read_text())['model']['width'] == 8
  facts, = json.loads(run.facts.read_text())
  assert facts['versions']['jax'] and facts['versions']['python']
  assert facts['hashes'] == {'data': 'd' * 64}
  assert set(facts) >= {'git', 'command', 'devices', 'started'}
  assert sorted(p.name for p in run.path.iterdir()) == [
      'config.json', 'run.json']


def test_the_same_config_resumes(tmp_path):
  rundir.open_run(tmp_path, Config(), {'data': 'a'})
  run = rundir.open_run(tmp_path, Config(), {'data': 'a'})
  assert run.resumed
  assert len(json.loads(run.facts.read_text())) == 2


def test_another_config_is_refused_with_a_table(tmp_path):
  run = rundir.open_run(tmp_path, Config())
  before = run.config.read_text(), run.facts.read_text()
  with pytest.raises(errors.InputError) as caught:
    rundir.open_run(tmp_path, Config(model=Model(width=16), seed=3))
  text = str(caught.value)
  assert 'model.width: 8 -> 16' in text and 'seed: 0 -> 3' in text
  assert 'steps' not in text and '--workdir' in text
  assert (run.config.read_text(), run.facts.read_text()) == before


def test_a_free_field_may_change(tmp_path):
  rundir.open_run(tmp_path, Config())
  run = rundir.open_run(tmp_path, Config(steps=20), free=['steps'])
  assert run.resumed and json.loads(run.config.read_text())['steps'] == 20


def test_other_data_is_refused(tmp_path):
  rundir.open_run(tmp_path, Config(), {'data': 'a' * 64})
  with pytest.raises(errors.InputError, match=r"data \(SHA-256\): 'aaaa"):
    rundir.open_run(tmp_path, Config(), {'data': 'b' * 64})


def test_unreadable_record_is_refused(tmp_path):
  rundir.open_run(tmp_path, Config()).config.write_text('{"kind": ')
  with pytest.raises(errors.InputError, match='cannot be read'):
    rundir.open_run(tmp_path, Config())


def test_a_file_is_not_a_directory(tmp_path):
  (tmp_path / 'file').write_text('x')
  for path in tmp_path / 'file', tmp_path / 'file' / 'below':
    with pytest.raises(errors.InputError, match='is a file'):
      rundir.check(path, Config())


def test_checking_touches_nothing(tmp_path):
  assert not rundir.check(tmp_path / 'a' / 'b', Config()).resumed
  assert not list(tmp_path.iterdir())
  rundir.open_run(tmp_path, Config())
  with pytest.raises(errors.InputError, match='seed: 0 -> 3'):
    rundir.check(tmp_path, Config(seed=3))


def test_unwritable_directory(tmp_path, monkeypatch):
  monkeypatch.setattr(os, 'access', lambda path, mode: False)  # Root may all.
  with pytest.raises(errors.InputError, match='no permission in'):
    rundir.open_run(tmp_path / 'new', Config())
  assert not list(tmp_path.iterdir())


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
  path = tmp_path / 'text'
  rundir.write(path, 'whole')

  def fail(*unused):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(os, 'fsync', fail)
  with pytest.raises(OSError):
    rundir.write(path, 'half')
  assert path.read_text() == 'whole'
