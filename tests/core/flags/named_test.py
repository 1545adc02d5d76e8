"""What --config= names: files, presets, runs; and every way to get it wrong."""
import dataclasses
import json
import pathlib
import sys

import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.flags import named as named_lib

FILES = {
    'demo': 'def get_config():\n  return named_test.Run(steps=7)\n',
    'many': 'def get_config(name="a"):\n'
            '  return named_test.Run(steps={"a": 1, "b": 2}[name])\n',
    'other': 'def get_config():\n  return named_test.Other()\n',
}


@dataclasses.dataclass(frozen=True)
class Model:
  width: int = 1


@dataclasses.dataclass(frozen=True)
class Run:
  steps: int = 1
  model: Model = Model()


@dataclasses.dataclass(frozen=True)
class Other:
  steps: int = 2


@pytest.fixture
def named(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  monkeypatch.setitem(sys.modules, 'named_test',
                      sys.modules[__name__])
  (tmp_path / 'configs').mkdir()
  for name, text in FILES.items():
    (tmp_path / f'configs/{name}.py').write_text(f'import named_test\n{text}')
  return named_lib.Named(
      Run, tmp_path / 'configs/demo.py', {'wide': Model(width=9)})


def _file(text):
  pathlib.Path('mine.py').write_text(text)


def test_names_files_presets_and_runs_are_found(named):
  pathlib.Path('runs').mkdir()
  pathlib.Path('runs/config.json').write_text(config_lib.dumps(Run(5)))
  _file('import named_test\ndef get_config(name="x"):\n'
        '  return named_test.Run(len(name))\n')
  assert named.load() == named.load('demo') == Run(7)
  assert named.load('many') == Run(1) and named.load('many:b') == Run(2)
  assert named.load('mine.py') == Run(1) and named.load('mine.py:abc') == Run(3)
  assert named.load('./mine.py') == Run(1)
  assert named.load('preset:wide') == Run(7, Model(9))
  assert named.load('runs') == named.load('runs/config.json') == Run(5)
  assert list(named.fitting()) == ['demo', 'many'] and named.title == 'demo'


def test_a_config_may_be_the_default_itself():
  named = named_lib.Named(Run, Run(3))
  assert named.load() == Run(3) and named.title == 'Run'
  assert not named.files() and not list(named.fitting())


def test_dataclasses_of_a_config_file_are_understood(named):
  _file('from __future__ import annotations\nimport dataclasses\n'
        'from named_test import Run, Model\n'
        '@dataclasses.dataclass(frozen=True)\nclass Mine(Run):\n'
        '  more: int = 3\n'
        'def get_config():\n  return Run(model=Mine())\n')
  with pytest.raises(errors.InputError, match=r"config.model is a .*Mine; ch"):
    named.load('mine.py')


@pytest.mark.parametrize('name, message', [
    ('demp', r"--config=demp is not a config, .*Did you mean 'demo'\?"),
    ('preset:wid', r"no preset 'wid'; choose from \['wide'\].*'wide'\?"),
    ('no.py', '--config=no.py cannot be read: there is no such file.'),
    ('no/config.json', '--config=no/config.json is not a config, file or run'),
    ('demo:b', 'get_config of .*demo.py takes no name'),
    ('other', 'other.py holds Other, but this script takes Run.'),
])
def test_unknown_names_are_refused(named, name, message):
  with pytest.raises(errors.InputError, match=message):
    named.load(name)


@pytest.mark.parametrize('text, message', [
    ('x = 1\n', r'mine.py should define get_config\(\)'),
    ('x = 1\nx = y\n', "mine.py:2: NameError: name 'y' is not defined"),
    ('def get_config():\n\n  return 1 / 0\n', 'mine.py:3: ZeroDivisionError'),
    ('def get_config(:\n', 'mine.py:1: SyntaxError'),
    ('import json\ndef get_config():\n  return json.loads("[")\n',
     'mine.py:3: JSONDecodeError'),
    ('def get_config():\n  return {"steps": 1}\n',
     r'get_config\(\) of mine.py should return Run; got dict.'),
    ('def get_config(name):\n  return name\n', 'needs a name: mine.py:NAME'),
    ('import named_test\ndef get_config():\n'
     '  return named_test.Run(steps="3")\n',
     "config.steps should be int; got '3'."),
    ('from lmjax.core import errors\ndef get_config():\n'
     '  raise errors.InputError("No.")\n', '^No.$'),
])
def test_a_broken_file_is_reported_with_its_line(named, text, message):
  _file(text)
  with pytest.raises(errors.InputError, match=message):
    named.load('mine.py')


@pytest.mark.parametrize('text, message', [
    ('{', 'config.json cannot be read as JSON'),
    ('[]', 'config.json holds list, but this script takes Run.'),
    (json.dumps({'kind': 'Run', 'stepz': 1}),
     "config.stepz is not a field of Run. Did you mean 'steps'"),
])
def test_a_broken_run_is_reported(named, text, message):
  pathlib.Path('config.json').write_text(text)
  with pytest.raises(errors.InputError, match=message):
    named.load('config.json')
