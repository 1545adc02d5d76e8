"""A command line is split into changes of the config and other arguments."""
import dataclasses

from absl import flags
import pytest

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
