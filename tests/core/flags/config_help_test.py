"""The tree of a config as text that fits a terminal."""
import dataclasses
from typing import Literal

from lmjax.core.flags import config_help
from lmjax.core.flags import named as named_lib


@dataclasses.dataclass(frozen=True)
class _Rule:
  """What rules share.

  Attributes:
    rate: The peak. Not the mean.
  """
  rate: float = 1e-3


@dataclasses.dataclass(frozen=True)
class Adam(_Rule):
  """Adam.

  Attributes:
    low, high: Bounds of <id_0>, <id_1>, ... that say how far a step may go in
      one direction; more follows.

  References:
    Kingma: not a field.
  """
  low: int | None = None
  high: int | None = None


@dataclasses.dataclass(frozen=True)
class Lion(_Rule):
  sign: bool = True


@dataclasses.dataclass(frozen=True)
class Run:
  """A run.

  Attributes:
    rule: How.
    rules: Others.
    off: What is off.
    where: On what.
    names: Of what.
    share: How much.
  """
  rule: Adam | Lion = Adam()
  rules: tuple[Adam | Lion, ...] = (Lion(),)
  off: Adam | Lion | None = None
  only: Adam = Adam()
  where: Literal['cpu', 'tpu'] = 'cpu'
  names: tuple[str, ...] = ()
  share: float | Literal['all'] = 1.0


def _tree(config, cls=None):
  return [line.strip() for line in config_help.tree(config, cls or type(config))
          if line]


def test_every_field_is_shown_with_value_choices_and_documentation():
  lines = [' '.join(line.split()) for line in _tree(Run())]
  for line in ('rule.kind=Adam How. Or: Lion.', 'rule.rate=0.001 The peak.',
               'rules Others.', 'rules.0.kind=Lion Or: Adam.', 'rules.0.sign=true',
               'off.kind=none What is off. Or: Adam, Lion.',
               'only.rate=0.001 The peak.', 'names=[] Of what. Takes a list '
               'of text.', 'where=cpu On what. One of cpu, tpu.',
               "share=1.0 How much. Takes 'all' or a number."):
    assert line in lines, line
  assert not any('off.rate' in line or 'rule.sign' in line for line in lines)
  assert 'kind=Run' in _tree(Run(), Run | Adam)[0]


def test_documentation_is_the_first_sentence_and_is_inherited():
  bounds = ('Bounds of <id_0>, <id_1>, ... that say how far a step may go in '
            'one direction; more follows.')
  assert config_help.documentation(Adam) == {
      'rate': 'The peak.', 'low': bounds, 'high': bounds}
  assert config_help.documentation(Lion) == {'rate': 'The peak.'}


def test_the_text_fits_a_terminal():
  long = Run(names=('a' * 90, 'b' * 90), rule=Adam(low=10 ** 29))
  named = named_lib.Named(Run, long, {f'preset_{i}': i for i in range(40)})
  text = config_help.describe(long, named, 'mine')
  assert max(map(len, text.splitlines())) <= 100
  assert '--config=mine is the Run below.' in text and 'preset_39' in text
