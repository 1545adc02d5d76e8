"""Changes to a config: parts with their own defaults, fields, items."""
import dataclasses
from typing import ClassVar, Literal

import pytest

from lmjax.core import errors
from lmjax.core.flags import overrides


@dataclasses.dataclass(frozen=True)
class Adam:
  rate: float = 1e-3
  beta: float = 0.9


@dataclasses.dataclass(frozen=True)
class Lion:
  rate: float = 1e-4
  sign: bool = True
  beta: tuple[float, ...] = (0.9, 0.99)  # Adam's is a number.


@dataclasses.dataclass(frozen=True)
class Nadam(Adam):
  nesterov: bool = True


@dataclasses.dataclass(frozen=True)
class Text:
  paths: tuple[str, ...]
  split: Literal['train', 'test'] = 'train'


@dataclasses.dataclass(frozen=True)
class Rows:
  paths: str
  inner: Text | Adam | None = None


@dataclasses.dataclass(frozen=True)
class Needs:
  train: Text | Rows


@dataclasses.dataclass(frozen=True)
class Model:
  layers: int = 2
  window: int | None = None

  def __post_init__(self):
    if self.layers < 1:
      raise errors.InputError(
          f'model.layers should be >= 1; got {self.layers}.')
    if self.window and self.window < self.layers:
      raise errors.InputError('model.window should be >= model.layers.')


@dataclasses.dataclass(frozen=True)
class Run:
  model: Model = Model()
  optimizer: Adam | Lion | Nadam = Adam()
  early: Adam | None = None
  data: Text | Rows | Needs | None = None
  sources: tuple[Text | Rows, ...] = ()
  one: tuple[Adam, ...] = ()
  betas: tuple[float, ...] = (0.9, 0.95)


@dataclasses.dataclass(frozen=True)
class Other:
  steps: int = 3


RUN = Run(model=Model(3, 4), data=Text(('a', 'b')), early=Adam(),
          optimizer=Adam(rate=7.0, beta=0.1), sources=(Text(('x',)),))
replace = dataclasses.replace


@pytest.mark.parametrize('start, changes, want', [
    (RUN, {}, RUN),
    (RUN, {'model.layers': '2', 'optimizer.rate': 0.1}, replace(
        RUN, model=Model(2, 4), optimizer=Adam(0.1, 0.1))),
    (Run(), {'model.window': '8'}, Run(model=Model(2, 8))),
    (RUN, {'model.window': 'none'}, replace(RUN, model=Model(3))),
    (RUN, {'model.window': None}, replace(RUN, model=Model(3))),
    # Another kind has its own defaults; the same kind keeps its values.
    (RUN, {'optimizer.kind': 'Lion'}, replace(RUN, optimizer=Lion())),
    (RUN, {'optimizer.sign': '0', 'optimizer.kind': 'Lion'},
     replace(RUN, optimizer=Lion(sign=False))),
    (RUN, {'optimizer.kind': 'Adam'}, RUN),
    (RUN, {'optimizer.kind': 'Adam', 'optimizer.beta': '0.5'},
     replace(RUN, optimizer=Adam(7.0, 0.5))),
    (RUN, {'optimizer': Lion(rate=2.0), 'optimizer.sign': 'false'},
     replace(RUN, optimizer=Lion(2.0, False))),
    (Run(optimizer=Nadam(5.0)), {'optimizer.kind': 'Adam'}, Run()),
    # On and off.
    (Run(), {'early.kind': 'Adam', 'early.beta': 0.5},
     Run(early=Adam(beta=0.5))),
    (RUN, {'early.kind': 'none'}, replace(RUN, early=None)),
    (RUN, {'early.kind': 'null'}, replace(RUN, early=None)),
    (RUN, {'early': 'None', 'data.kind': 'None'},
     replace(RUN, early=None, data=None)),
    # A field of the same name, of either type.
    (RUN, {'data.kind': 'Rows', 'data.paths': 'a,b'},
     replace(RUN, data=Rows('a,b'))),
    (Run(), {'data.paths': 'a,b', 'data.kind': 'Text'},
     Run(data=Text(('a', 'b')))),
    (Run(), {'optimizer.kind': 'Lion', 'optimizer.beta': '0.5,0.6'},
     Run(optimizer=Lion(beta=(0.5, 0.6)))),
    # From the outside in, whatever the order.
    (Run(), {'data.inner.paths': 'c', 'data.inner.kind': 'Text',
             'data.paths': 'd', 'data.kind': 'Rows'},
     Run(data=Rows('d', Text(('c',))))),
    (Run(), {'data.train.paths': 'c', 'data.train.kind': 'Text',
             'data.kind': 'Needs'}, Run(data=Needs(Text(('c',))))),
    # Items.
    (RUN, {'sources.0.paths': 'y'}, replace(RUN, sources=(Text(('y',)),))),
    (RUN, {'sources.1.paths': 'y', 'sources.1.kind': 'Rows',
           'sources.2.kind': 'Text', 'sources.2.paths': 'z'},
     replace(RUN, sources=(Text(('x',)), Rows('y'), Text(('z',))))),
    (RUN, {'sources': '[]', 'sources.0.kind': 'Rows', 'sources.0.paths': 'y'},
     replace(RUN, sources=(Rows('y'),))),
    (RUN, {'sources.0.kind': 'Rows', 'sources.0.paths': 'y'},
     replace(RUN, sources=(Rows('y'),))),
    (Run(), {'sources': [{'kind': 'Rows', 'paths': 'y'}]},
     Run(sources=(Rows('y'),))),
    (Run(), {'one.0.kind': 'Adam'}, Run(one=(Adam(),))),
    (Run(), {'betas.1': '0.5'}, Run(betas=(0.9, 0.5))),
    (Run(), {'betas': '1,2'}, Run(betas=(1.0, 2.0))),
])
def test_a_config_is_changed(start, changes, want):
  assert overrides.override(start, changes) == want


def test_the_whole_config_may_be_of_another_kind():
  changes = {'kind': 'Other', 'steps': '1e3'}
  assert overrides.override(RUN, changes, Run | Other) == Other(1000)
  with pytest.raises(errors.InputError, match=r"config.kind is 'Other'"):
    overrides.override(RUN, changes)


def test_fields_are_checked_together_not_one_after_another():
  start = Run(model=Model(4, 4))
  changes = {'model.layers': '6', 'model.window': '6'}
  assert overrides.override(start, changes).model == Model(6, 6)


def test_a_part_of_a_single_kind_need_not_be_chosen():
  @dataclasses.dataclass(frozen=True)
  class Source:
    train: Text
    test: Text | None = None

  @dataclasses.dataclass(frozen=True)
  class Task:
    source: Source | None = None
    parts: tuple[Adam, ...] = ()

  told = []
  assert overrides.override(
      Task(), {'source.kind': 'Source', 'source.train.paths': 'a',
               'parts.0.rate': '0.5'}, tell=told.append
  ) == Task(Source(Text(('a',))), (Adam(rate=0.5),))
  with pytest.raises(errors.InputError, match=(
      r'config.source.train \(Text\) needs a value for paths: '
      r'--config.source.train.paths=\.\.\.')):
    overrides.override(Task(), {'source.kind': 'Source'})
  with pytest.raises(errors.InputError, match='config.source is none'):
    overrides.override(Task(), {'source.train.paths': 'a'})


@pytest.mark.parametrize('changes, message', [
    ({'optimizer.kind': 'Adan'}, r"config.optimizer.kind is 'Adan'.*'Adam'\?"),
    ({'optimizer.kind': 'none'}, r"config.optimizer.kind is 'none'; choose"),
    ({'model.layers': '0'}, r'model.layers should be >= 1; got 0'),
    ({'model.layers': 'x'}, r"config.model.layers should be a whole number"),
    ({'model.layers': 2.5}, r'config.model.layers should be int; got 2.5'),
    ({'model.layer': '3'}, r'config.model.layer is not a field of Model. Did '
     r'you mean --config.model.layers\?'),
    ({'optimizer.sign': '0'}, 'config.optimizer.sign is not a field of Adam. '
     'It is a field of Lion; choose it too: --config.optimizer.kind=Lion.'),
    ({'zzz': '0'}, 'config.zzz is not a field of Run. Its fields are model,'),
    ({'early.beta': '0.5'}, 'config.early is none, so its fields cannot be '
     'set; choose its kind too: --config.early.kind=Adam.'),
    ({'early.kind': 'none', 'early.beta': '1'}, 'config.early is none'),
    ({'data.kind': 'Text'}, r'config.data \(Text\) needs a value for paths: '
     r'--config.data.paths=\.\.\.'),
    ({'data.kind': 'Needs'}, r'config.data \(Needs\) needs a value for train: '
     r"--config.data.train.kind=Text, or another of \['Rows', 'Text'\]"),
    ({'data.kind': 'Needs', 'data.train.paths': 'x'}, 'config.data.train has '
     'no kind yet, .*--config.data.train.kind=Text, or another of'),
    ({'sources.2.kind': 'Text'}, 'config.sources.2: config.sources has 0 items;'
     ' the next is config.sources.0.'),
    ({'sources.999999999999.kind': 'Text'}, 'config.sources has 0 items'),
    ({'sources.0.paths': 'x'}, 'config.sources.0 has no kind yet'),
    ({'model': '{"kind": "Model"}', 'model.': '3'}, 'config.model. is not a'),
    ({'.model': '3'}, 'config. is not a field of Run'),
    ({'sources.x.paths': 'x'}, 'config.sources.x is not a field of a list'),
    ({'model.layers.x': '1'}, 'not a field of config.model.layers'),
    ({'optimizer.kind.x': '1'}, 'not a field of config.optimizer.kind'),
    ({'optimizer': 'Lion'}, r"config.optimizer is a part.*mean 'Lion'\?"),
])
def test_a_mistake_is_one_sentence_with_its_fix(changes, message):
  with pytest.raises(errors.InputError, match=message):
    overrides.override(Run(), changes)


@dataclasses.dataclass(frozen=True)
class Csv:
  paths: tuple[str, ...]
  mark: str = ','
  endings: ClassVar = ('.csv', '.tsv')


@dataclasses.dataclass(frozen=True)
class Jsonl:
  paths: tuple[str, ...]
  endings: ClassVar = ('.jsonl',)


@dataclasses.dataclass(frozen=True)
class Reads:
  train: Csv | Jsonl | Text
  valid: Csv | Jsonl | Text | None = None
  test: Csv | Adam = Adam()


READS = Reads(Text(('t.txt',)))


@pytest.mark.parametrize('start, changes, want', [
    (READS, {'valid.paths': 'a.csv,b.tsv.gz', 'valid.mark': ';'},
     replace(READS, valid=Csv(('a.csv', 'b.tsv.gz'), ';'))),
    (READS, {'valid.paths': 'runs/*.jsonl'},
     replace(READS, valid=Jsonl(('runs/*.jsonl',)))),
    (READS, {'test.paths': ('a.csv',)}, replace(READS, test=Csv(('a.csv',)))),
    # A part that reads files keeps its kind, and a kind that is given counts.
    (READS, {'train.paths': 'a.csv'}, replace(READS, train=Text(('a.csv',)))),
    (READS, {'valid.paths': 'a.csv', 'valid.kind': 'Text'},
     replace(READS, valid=Text(('a.csv',)))),
])
def test_files_choose_the_kind_that_reads_them(start, changes, want):
  assert overrides.override(start, changes) == want


@pytest.mark.parametrize('paths', ['a.txt', 'a.csv,b.jsonl', 'csv', ''])
def test_files_that_any_kind_may_read_choose_none(paths):
  with pytest.raises(errors.InputError, match='choose its kind too'):
    overrides.override(READS, {'valid.paths': paths})


def test_a_kind_chosen_by_files_is_reported():
  told = []
  overrides.override(READS, {'test.paths': 'a.csv'}, tell=told.append)
  assert told == ['test: Csv with its own defaults (mark ,).']


def test_messages_name_a_field_like_the_user():
  with pytest.raises(errors.InputError, match='^--depth should be a whole'):
    overrides.override(
        Run(), {'model.layers': 'x'}, names={'model.layers': '--depth'})


def test_a_replaced_part_is_reported_with_its_defaults():
  told = []
  overrides.override(
      RUN, {'optimizer.kind': 'Lion', 'optimizer.sign': 'false',
            'early.kind': 'Adam', 'early.rate': '1', 'model.layers': '2',
            'data.kind': 'Rows', 'data.paths': 'x'}, tell=told.append)
  assert told == ['optimizer: Lion with its own defaults (rate 0.0001).',
                  'data: Rows with its own defaults.']


@dataclasses.dataclass(frozen=True)
class Placed:
  parallel: str = 'jit'
  mesh: str | None = dataclasses.field(
      default=None, metadata={'implies': {'parallel': 'mesh'}})


@pytest.mark.parametrize('old, changes, new', [
    (Placed(), {'mesh': 'data:2'}, Placed('mesh', 'data:2')),
    (Placed('pmap'), {'mesh': 'data:2'}, Placed('mesh', 'data:2')),
    (Placed(), {'mesh': 'data:2', 'parallel': 'pmap'},
     Placed('pmap', 'data:2')),
    (Placed('mesh', 'data:2'), {'mesh': 'none'}, Placed('mesh')),
    (Placed(), {'mesh': 'null'}, Placed()),
    (Placed(), {'mesh': None}, Placed()),
    (Placed('mesh', 'data:2'), {'parallel': 'jit'}, Placed('jit', 'data:2'))])
def test_a_field_may_imply_another(old, changes, new):
  assert overrides.override(old, changes) == new
