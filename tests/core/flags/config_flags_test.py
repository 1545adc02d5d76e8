"""A command line is split into changes of the config and other arguments."""
import dataclasses
import json

from absl import flags
import pytest

from lmjax.core import errors
from lmjax.core.flags import config_flags
from lmjax.core.flags import named as named_lib


@dataclasses.dataclass(frozen=True)
class Run:
  steps: int = 1
  scan: bool = False
  shift: float = 0.0
  path: str | None = None


@pytest.mark.parametrize('args, changes, rest', [
    (['--config.steps=3', '--workdir=x'], {'steps': '3'}, ['--workdir=x']),
    (['--config.steps', '3', 'more'], {'steps': '3'}, ['more']),
    (['-config.steps=3'], {'steps': '3'}, []),
    (['--config.scan', '--dry_run'], {'scan': 'true'}, ['--dry_run']),
    (['--config.scan'], {'scan': 'true'}, []),
    (['--noconfig.scan', '--config=x'], {'scan': 'false'}, ['--config=x']),
    (['--noconfig.scan=1'], {}, ['--noconfig.scan=1']),
    (['--config.shift', '-1e3', '--a'], {'shift': '-1e3'}, ['--a']),
    (['--config.shift', '-.5'], {'shift': '-.5'}, []),
    (['--config.path=a=b\nc'], {'path': 'a=b\nc'}, []),
    (['--config.path='], {'path': ''}, []),
    (['--config.steps=3', '--config.steps=4'], {'steps': '4'}, []),
    (['--', '--config.steps=3'], {}, ['--', '--config.steps=3']),
    (['--config', 'x', '--configs.a=1'], {}, ['--config', 'x', '--configs.a=1'])
])
def test_changes_are_taken_from_the_arguments(args, changes, rest):
  flag = config_flags.ConfigFlag(named_lib.Named(Run, Run()), {})
  assert flag.take(args) == rest and flag.changes == changes


def test_the_taken_changes_make_the_config(capsys):
  flag = config_flags.ConfigFlag(named_lib.Named(Run, Run(path='p')), {})
  flag.take(['--config.steps=1e3', '--config.scan', '--config.path=none'])
  assert flag.config() == Run(steps=1000, scan=True)
  assert capsys.readouterr() == ('', '')
  assert 'steps=1000' in flag.describe()


def test_a_script_has_the_flag_or_has_none():
  assert config_flags.defined() is None
  named = named_lib.Named(Run, Run())
  flag = config_flags.define(named, {'only_here': 'steps'})
  try:
    assert config_flags.defined() is flag
    assert flag.config() == Run()
    flags.FLAGS['only_here'].value = '5'
    assert flag.config() == Run(steps=5)
  finally:
    delattr(flags.FLAGS, 'config')
    delattr(flags.FLAGS, 'only_here')


@pytest.fixture
def flag(tmp_path, monkeypatch):
  """The flag --config of a script that starts runs in the folder `demo`."""
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'demo').mkdir()
  (tmp_path / 'configs').mkdir()
  file = tmp_path / 'configs/demo.py'
  file.write_text(f'from {__name__} import Run\nget_config = lambda: Run(9)\n')
  flags.DEFINE_string('folder', 'demo', '')
  yield config_flags.define(
      named_lib.Named(Run, file), {'n': 'steps'}, 'folder')
  for name in 'config', 'folder', 'n':
    delattr(flags.FLAGS, name)


def save(**fields):
  with open('demo/config.json', 'w', encoding='utf-8') as file:
    json.dump({'kind': 'Run', **fields}, file)


def test_a_directory_without_a_run_gets_the_default_config(flag, capsys):
  assert flag.config() == Run(steps=9)
  assert capsys.readouterr().out == 'config: demo\n'


def test_a_directory_with_a_run_continues_with_its_config(flag, capsys):
  save(steps=3, path='a')
  assert flag.config() == Run(steps=3, path='a')
  assert capsys.readouterr().out == (
      'config: saved in demo, which holds a run\n')
  assert flag.describe().count('--config=demo is the Run below') == 1


def test_flags_change_the_config_of_the_run(flag, capsys):
  save(steps=3, path='a')
  flag.take(['--config.scan', '--config.path=password=xyz'])
  flags.FLAGS['n'].value = '5'
  assert flag.config() == Run(steps=5, scan=True, path='password=xyz')
  assert capsys.readouterr().out.endswith(
      'a run; scan=true path=password=[redacted] steps=5\n')


def test_a_config_that_is_named_comes_before_that_of_the_run(flag):
  save(steps=3)
  flag.value = 'demo'
  assert flag.config() == Run(steps=9)


@pytest.mark.parametrize('named', [None, 'demo/config.json', './demo'])
def test_a_secret_that_a_run_did_not_save_has_to_be_given(flag, named):
  save(path='https://[redacted]@host/a')
  flag.value = named
  with pytest.raises(errors.InputError, match=(
      r'config.path is .* in (demo|./demo|demo/config.json), .*'
      'give it again: --config.path=')):
    flag.config()
  flag.take(['--config.path=https://me:pw@host/a'])
  assert flag.config().path == 'https://me:pw@host/a'
