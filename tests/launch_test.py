"""How a run is started, and what refuses it."""
from absl import flags
import pytest

from lmjax import launch
from lmjax.core import errors


def test_a_model_of_another_size_is_refused():
  launch.Launch().check_params(12)
  launch.Launch(expect_params=12).check_params(12)
  with pytest.raises(errors.InputError, match=(
      '1,200 parameters; --expect_params says 1,000')):
    launch.Launch(expect_params=1000).check_params(1200)


def test_flags_become_a_launch(monkeypatch):
  values = flags.FlagValues()
  for name in 'DEFINE_enum', 'DEFINE_bool', 'DEFINE_multi_string', (
      'DEFINE_integer'), 'DEFINE_float':
    define = getattr(flags, name)
    monkeypatch.setattr(
        flags, name, lambda *args, define=define, **kwargs: define(
            *args, flag_values=values, **kwargs))
  read = launch.define_flags()
  values(['script'])
  assert read() == launch.Launch()
  values(['script', '--on_damaged=fail', '--takeover', '--override=a.b',
          '--override=c', '--expect_params=7', '--watchdog_s=0'])
  assert read() == launch.Launch('fail', True, ('a.b', 'c'), 7, None)
