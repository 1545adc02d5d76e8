"""Frozen dataclasses to flags and back, and every way to get it wrong."""
import dataclasses
import json
from typing import Literal

import pytest

from lmjax.core import config
from lmjax.core import errors


@dataclasses.dataclass(frozen=True)
class Adam:
  rate: float = 1e-3
  beta: float = 0.9


@dataclasses.dataclass(frozen=True)
class Lion:
  rate: float = 1e-4
  sign: bool = True


@dataclasses.dataclass(frozen=True)
class Text:
  paths: tuple[str, ...]
  split: Literal['train', 'test'] = 'train'


@dataclasses.dataclass(frozen=True)
class Model:
  layers: int = 2
  window: int | None = None
  name: str = 'tiny'

  def __post_init__(self):
    if self.layers < 1:
      raise errors.InputError(
          f'model.layers should be >= 1; got {self.layers}.')


@dataclasses.dataclass(frozen=True)
class Run:
  model: Model = Model()
  optimizer: Adam | Lion = Adam()
  early: Adam | None = None
  late: Adam | None = Adam()
  data: Text | None = None
  betas: tuple[float, ...] = (0.9, 0.95)


RUN = Run(model=Model(layers=3, window=4), data=Text(('a', 'b')))


@pytest.mark.parametrize('run', [Run(), RUN, Run(optimizer=Lion(sign=False))])
def test_editable_then_freeze_is_the_same_config(run):
  assert config.freeze(Run, config.editable(run)) == run


def test_the_saved_text_reads_back():
  off = dataclasses.replace(RUN, late=None)  # Which is on by default.
  for run in RUN, off:
    assert config.freeze(Run, json.loads(config.dumps(run))) == run
  assert json.loads(config.dumps(RUN))['optimizer']['kind'] == 'Adam'


def test_leaves_are_edited():
  tree = config.editable(RUN)
  tree.model.layers = 5
  tree.optimizer.rate = 0.1
  run = config.freeze(Run, tree)
  assert run == dataclasses.replace(
      RUN, model=Model(5, 4), optimizer=Adam(rate=0.1))


def test_an_unset_optional_can_be_set_and_a_set_one_cleared():
  tree = config.editable(Run())
  tree.model.window = 8
  assert config.freeze(Run, tree).model.window == 8
  tree = config.editable(RUN)
  tree.model.window = None
  assert config.freeze(Run, tree).model.window is None


def test_another_kind_keeps_what_both_have_and_drops_the_rest():
  tree = config.editable(Run(optimizer=Adam(rate=7.0, beta=0.1)))
  tree.optimizer.kind = 'Lion'
  assert config.freeze(Run, tree).optimizer == Lion(rate=7.0)
  tree.optimizer.sign = False
  assert config.freeze(Run, tree).optimizer.sign is False


def test_none_becomes_a_variant_and_back():
  tree = config.editable(Run())
  tree.early.kind = 'Adam'
  tree.early.beta = 0.5
  assert config.freeze(Run, tree).early == Adam(beta=0.5)
  tree = config.editable(RUN)
  tree.data.kind = 'none'
  assert config.freeze(Run, tree).data is None


def test_a_variant_without_its_required_value_says_which_flag():
  tree = config.editable(Run())
  tree.data.kind = 'Text'
  with pytest.raises(errors.InputError, match=r'--config\.data\.paths=\.\.\.'):
    config.freeze(Run, tree)
  tree.data.paths = ('x',)
  assert config.freeze(Run, tree).data == Text(('x',))


@pytest.mark.parametrize('path, value, message', [
    ('optimizer.kind', 'Adan', r"config.optimizer.kind is 'Adan'.*'Adam'\?"),
    ('model.layers', '3', r"config.model.layers should be int; got '3'"),
    ('model.layers', True, 'should be int; got True'),
    ('model.layers', 2.5, 'should be int; got 2.5'),
    ('model.layers', 0, 'model.layers should be >= 1; got 0'),
    ('data.split', 'tests', r"'train' or 'test'; got 'tests'.*'test'\?"),
    ('model.name', 3, 'config.model.name should be str; got 3'),
    ('optimizer.rate', True, 'should be float; got True'),
])
def test_a_wrong_value_is_told_with_its_path(path, value, message):
  tree = json.loads(config.dumps(RUN))
  *parents, leaf = path.split('.')
  node = tree
  for parent in parents:
    node = node[parent]
  node[leaf] = value
  with pytest.raises(errors.InputError, match=message):
    config.freeze(Run, tree)


def test_an_unknown_field_suggests_the_nearest():
  tree = json.loads(config.dumps(RUN))
  tree['model']['layer'] = 1
  with pytest.raises(errors.InputError, match=r"Did you mean 'layers'\?"):
    config.freeze(Run, tree)


def test_a_field_of_another_variant_is_refused():
  tree = config.editable(Run())
  tree.optimizer.sign = False  # Lion's; the kind is still Adam.
  with pytest.raises(errors.InputError, match='sign is not a field of Adam'):
    config.freeze(Run, tree)


def test_whole_numbers_serve_as_floats():
  tree = config.editable(Run())
  tree.optimizer.rate = 1
  rate = config.freeze(Run, tree).optimizer.rate
  assert rate == 1.0 and isinstance(rate, float)


def test_difference_lists_the_leaves_that_differ():
  assert config.difference(Run(), RUN)['model.layers'] == (2, 3)
  assert config.difference(RUN, RUN) == {}


def test_near_is_silent_when_nothing_is_near():
  assert config.near('layerz', ['layers', 'width']) == " Did you mean 'layers'?"
  assert config.near('zzz', ['layers', 'width']) == ''
