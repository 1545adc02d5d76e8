"""Frozen dataclasses to JSON and back, and every way to get it wrong."""
import dataclasses
import json
import typing
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


@dataclasses.dataclass(frozen=True)
class Mixed:
  """Parts in tuples, beside types of every kind."""
  sources: tuple[Text | Adam, ...] = ()
  pairs: tuple[tuple[str, float], ...] = ()
  point: tuple[int, int] = (0, 0)
  either: Text | tuple[Text, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Several:
  parts: tuple[Text | Adam, ...]


@pytest.mark.parametrize('run', [
    Run(), RUN, Run(optimizer=Lion(sign=False)), Mixed(),
    Mixed((Text(('a',)), Adam(beta=0.5), Text(('b',), 'test')),
          (('x', 1.0), ('y', 2.0)), (3, 4), (Text(('c',)),)),
    Mixed(either=Text(('d',)))])
def test_json_and_back_is_the_same_config(run):
  assert config.freeze(type(run), json.loads(config.dumps(run))) == run
  assert config.freeze(type(run), run) == run


def test_the_saved_text_reads_back():
  off = dataclasses.replace(RUN, late=None)  # Which is on by default.
  for run in RUN, off:
    assert config.freeze(Run, json.loads(config.dumps(run))) == run
  assert json.loads(config.dumps(RUN))['optimizer']['kind'] == 'Adam'


@pytest.mark.parametrize('tree, message', [
    ({'kind': 'Run', 'data': {'kind': 'Text'}},
     r'config.data \(Text\) needs a value for paths: --config.data.paths=\.'),
    ({'kind': 'Several'}, r'config \(Several\) needs a value for parts: '
     r"--config.parts.0.kind=Text, or another of \['Adam', 'Text'\]"),
    ({'kind': 'Mixed', 'sources': [{'kind': 'Tex', 'paths': ['a']}]},
     r"config.sources.0.kind is 'Tex'; .*Did you mean 'Text'"),
    ({'kind': 'Mixed', 'sources': [{'paths': ['a']}]},
     r'config.sources.0 should be an object with a kind, one of'),
    ({'kind': 'Mixed', 'sources': [3]}, 'config.sources.0 should be an object'),
    ({'kind': 'Mixed', 'sources': {'kind': 'Text'}}, 'config.sources should'),
    ({'kind': 'Mixed', 'pairs': [['a', 'b']]},
     "config.pairs.0.1 should be float; got 'b'"),
    ({'kind': 'Mixed', 'point': [1, 2, 3]}, 'config.point should hold 2 val'),
    ({'kind': 'Mixed', 'point': 'ab'}, 'config.point should be tuple'),
    ({'kind': 'Run', 'model': None}, 'config.model should be an object'),
    ([], 'config should be an object with a kind'),
])
def test_unknown_fields_and_kinds_are_refused(tree, message):
  with pytest.raises(errors.InputError, match=message):
    config.freeze(Run | Mixed | Several, tree)


def test_a_part_in_code_is_checked_like_one_in_json():
  with pytest.raises(errors.InputError, match=r'config.model.layers .*got 2.5'):
    config.freeze(Run, Run(model=Model(layers=2.5)))
  mine = dataclasses.make_dataclass('Adan', [], frozen=True)
  with pytest.raises(errors.InputError, match="Adan; .*Did you mean 'Adam'"):
    config.freeze(Run, Run(optimizer=mine()))
  assert config.freeze(Run, Run(betas=[1, 2])).betas == (1.0, 2.0)


def test_a_missing_part_is_reported_with_its_kinds():
  task = dataclasses.make_dataclass('Task', [('train', Text | Adam)])
  with pytest.raises(
      errors.InputError,
      match=r"--config.train.kind=Text, or another of \['Adam', 'Text'\]\."):
    config.freeze(task, {'kind': 'Task'})


def test_kinds_of_a_union_have_different_names():
  for hint in Adam | Lion, typing.Union[Adam, Lion], typing.Union[
      tuple([Adam, Lion, None])]:
    assert config.kinds(hint) == {'Adam': Adam, 'Lion': Lion}
  with pytest.raises(TypeError, match='names of their own'):
    config.kinds(Adam | dataclasses.make_dataclass('Adam', []))
  with pytest.raises(TypeError, match='field called kind'):
    config.hints(dataclasses.make_dataclass('Of', [('kind', str)]))


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
def test_a_wrong_value_is_reported_with_its_path(path, value, message):
  tree = json.loads(config.dumps(RUN))
  *parents, leaf = path.split('.')
  node = tree
  for parent in parents:
    node = node[parent]
  node[leaf] = value
  with pytest.raises(errors.InputError, match=message):
    config.freeze(Run, tree)


def test_a_word_beside_a_number_is_told_with_it():
  for value in ('sqrt', True):
    with pytest.raises(errors.InputError, match="x should be 'root' or float"):
      config.freeze(float | Literal['root'] | None, value, 'x')
  for value in (2.0, 'root', None):
    assert config.freeze(
        float | Literal['root'] | None, value, 'x') == value


def test_an_unknown_field_suggests_the_nearest():
  tree = json.loads(config.dumps(RUN))
  tree['model']['layer'] = 1
  with pytest.raises(errors.InputError, match=r"Did you mean 'layers'\?"):
    config.freeze(Run, tree)


def test_whole_numbers_are_accepted_as_floats():
  tree = json.loads(config.dumps(Run()))
  tree['optimizer']['rate'] = 1
  rate = config.freeze(Run, tree).optimizer.rate
  assert rate == 1.0 and isinstance(rate, float)


def test_difference_lists_the_leaves_that_differ():
  assert config.difference(Run(), RUN)['model.layers'] == (2, 3)
  assert config.difference(RUN, RUN) == {}
  one, two = Mixed((Text(('a',)),)), Mixed((Text(('b',)), Adam()))
  assert config.difference(one, two) == {
      'sources.0.paths': (['a'], ['b']), 'sources.1.kind': (None, 'Adam'),
      'sources.1.rate': (None, 1e-3), 'sources.1.beta': (None, 0.9)}


def test_near_is_silent_when_nothing_is_near():
  assert config.near('layerz', ['layers', 'width']) == " Did you mean 'layers'?"
  assert config.near('zzz', ['layers', 'width']) == ''


def test_the_parts_of_a_config_are_found_in_tuples_too():
  mixed = Mixed(sources=(Text(('a',)), Adam()), either=(Text(('b',)),))
  assert list(config.parts(mixed)) == [
      mixed, Text(('a',)), Adam(), Text(('b',))]
  assert list(config.parts(RUN)) == [
      RUN, RUN.model, RUN.optimizer, RUN.late, RUN.data]
