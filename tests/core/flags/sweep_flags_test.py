"""--sweep flags take lists of values, as commas or as JSON."""
import dataclasses

import pytest

from lmjax.core import errors
from lmjax.core.flags import named
from lmjax.core.flags import sweep_flags


@dataclasses.dataclass(frozen=True)
class Config:
  width: int = 3
  paths: tuple[str, ...] = ()


def flag():
  return sweep_flags.SweepFlag(named.Named(Config, Config()), {})


def test_sweep_and_config_flags_are_taken_and_others_left():
  found = flag()
  rest = found.take(['--seeds=3', '--sweep.width=1,2', '--config.paths=a',
                     '-sweep.rule.kind=A,B', '--print'])
  assert rest == ['--seeds=3', '--print']
  assert found.swept == {'width': ['1', '2'], 'rule.kind': ['A', 'B']}
  assert found.given() == ({'paths': 'a'}, {})


@pytest.mark.parametrize('text, found', [
    ('1e-3,3e-3', ['1e-3', '3e-3']),
    ('["a,b", "c"]', ['a,b', 'c']),
    ('[["a","b"],["c"]]', ['["a", "b"]', '["c"]']),
    ('[1e-3, true, null, ""]', ['0.001', 'true', 'none', '']),
    ('one', ['one'])])
def test_values_are_split_at_commas_or_read_as_json(text, found):
  assert sweep_flags.parse(text, '--sweep.x') == found


def test_a_list_that_cannot_be_read_is_refused():
  with pytest.raises(errors.InputError, match='--sweep.x has an empty value'):
    sweep_flags.parse('1,,2', '--sweep.x')
  with pytest.raises(errors.InputError, match='or a JSON list'):
    sweep_flags.parse('[1,', '--sweep.x')
  with pytest.raises(errors.InputError, match='--sweep.width is given twice'):
    flag().take(['--sweep.width=1', '--sweep.width=2'])
