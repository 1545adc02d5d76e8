"""What holds of every config of the scripts, whatever flags say.

A kind chosen by flag is what its constructor makes, and a config is the same
after a journey through flags or JSON.
"""
import dataclasses
import json
import random
import typing

import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.flags import config_flags
from lmjax.core.flags import named
from lmjax.core.flags import nearest
from lmjax.core.flags import overrides
from lmjax.core.flags import values
from lmjax.core import ranges
from lmjax import experiment

ROOTS = [experiment.Pretrain, experiment.Count, experiment.Evaluate,
         experiment.Finetune]
TEXTS = ['', 'none', 'None', 'a,b', '"q"', '[x', '(1,)', '[1]', 'ü\n=', '--x',
         '{"kind": "x"}', 'true', '3', ' a ']


def parts_of(hint, found):
  """Adds the types of all fields with parts below a type: {hint: a name}."""
  for cls in config_lib.kinds(hint).values():
    for name, below in config_lib.hints(cls).items():
      for inner in (below, *typing.get_args(config_lib.tuple_of(below) or ())):
        if config_lib.kinds(inner) and inner not in found:
          found[inner] = f'{cls.__name__}.{name}'
          parts_of(inner, found)
  return found


UNIONS = {name: hint for hint, name in parts_of(
    typing.Union[tuple(ROOTS)], {}).items()}


def complete(cls):
  """Returns whether a dataclass has a default for every field."""
  return all(config_lib.default(field) is not dataclasses.MISSING
             for field in dataclasses.fields(cls))


def drawn(hint, rng):
  """Returns a value that a field of a type may have."""
  member = rng.choice(config_lib.members(hint))
  if typing.get_origin(member) is typing.Literal:
    return rng.choice(typing.get_args(member))
  if typing.get_origin(member) is tuple:
    length = rng.randrange(4)
    return tuple(drawn(item, rng)
                 for item in config_lib.item_hints(member, length))
  if dataclasses.is_dataclass(member):
    known = config_lib.hints(member)
    return member(**{f.name: drawn(known[f.name], rng)
                     for f in dataclasses.fields(member)
                     if config_lib.default(f) is dataclasses.MISSING})
  return {type(None): None, bool: rng.random() < 0.5,
          int: rng.choice([0, 1, 2, 3, 64, 10**6]),
          float: rng.choice([0.0, 0.1, 1 / 3, 1.0, 1e-8, 3e20]),
          str: rng.choice(TEXTS)}[member]


def varied(config, hint, rng, changes=30):
  """Returns a config in which some fields and parts are drawn at random."""
  for _ in range(changes):
    places = [place.path for place in nearest.places(config, hint)
              if not place.needs and place.path[-1] != 'kind']
    if not places:
      return config
    path = rng.choice(places)
    try:
      config = overrides.override(
          config, {'.'.join(path): drawn(hint_at(config, path), rng)}, hint)
    except errors.InputError:
      continue  # A value that the config itself refuses.
  return config


def hint_at(config, path):
  """Returns the type of the field at a path."""
  hint = type(config)
  for key in path:
    hint = (config_lib.item_hints(config_lib.tuple_of(hint), int(key) + 1)[-1]
            if key.isdecimal() else config_lib.hints(type(config))[key])
    config = config[int(key)] if key.isdecimal() else getattr(config, key)
  return hint


def flags_for(new, old, hint, path=()):
  """Yields the flags that make `new` of `old`."""
  flag = '--' + '.'.join(('config', *path))
  listed = config_lib.tuple_of(hint)
  if dataclasses.is_dataclass(new):
    before = {f.name: config_lib.default(f) for f in dataclasses.fields(new)}
    if type(new) == type(old):
      before = vars(old)
    else:
      yield f'{flag}.kind={type(new).__name__}'
    for name, below in config_lib.hints(type(new)).items():
      yield from flags_for(getattr(new, name), before[name], below,
                           (*path, name))
  elif isinstance(new, tuple) and any(map(dataclasses.is_dataclass, new)):
    yield f'{flag}=[]'
    for index, item in enumerate(new):
      yield from flags_for(
          item, None, config_lib.item_hints(listed, index + 1)[-1],
          (*path, str(index)))
  elif new != old:
    yield f'{flag}={values.text(new, hint)}'


def below(hint, found):
  """Returns `found` with all dataclasses at and below a type."""
  for cls in config_lib.kinds(hint).values():
    if cls not in found:
      found.append(cls)
      for inner in config_lib.hints(cls).values():
        for part in (inner, *typing.get_args(config_lib.tuple_of(inner) or ())):
          below(part, found)
  return found


CLASSES = below(typing.Union[tuple(ROOTS)], [])


def numeric(hint):
  """Returns whether a type admits numbers, also inside of tuples."""
  return hint in (int, float) or any(map(numeric, typing.get_args(hint)))


def numbers_of(cls):
  """Returns {field: its type with its range} of the fields with numbers."""
  hints = typing.get_type_hints(cls, include_extras=True)
  return {name: hints[name] for name, hint in config_lib.hints(cls).items()
          if numeric(hint)}


def holding(hint, number):
  """Returns a value of a type that holds a number."""
  if tuple_of := config_lib.tuple_of(hint):
    args = typing.get_args(tuple_of)
    return tuple(holding(arg, number) for arg in args if arg is not ...)
  return 'a' if hint is str else number


def outside(allowed):
  """Yields numbers just outside a range, and numbers that are in none."""
  yield from (float('nan'), float('inf'))
  if allowed.low is not None:
    yield allowed.low if allowed.above else allowed.low - 1
    yield -10**30
  if allowed.high is not None:
    yield allowed.high if allowed.below else allowed.high + 1
    yield 10**30


def inside(kind, allowed):
  """Yields numbers at the bounds of a range, and in it."""
  low = 0 if allowed.low is None else allowed.low
  high = 10**9 if allowed.high is None else allowed.high
  step = 1 if kind is int else 1e-9
  yield low + step * allowed.above
  yield high - step * allowed.below
  yield kind((low + high) / 2)


def test_the_unions_are_found():
  assert len(UNIONS) > 25
  assert {'Pretrain.model', 'Pretrain.optimizer', 'DataConfig.source',
          'PreNorm.mixer', 'Count.model'} <= {*UNIONS}


def test_every_number_of_every_config_has_a_range():
  assert len(CLASSES) > 140
  assert sum(len(numbers_of(cls)) for cls in CLASSES) > 300
  assert [] == [f'{cls.__name__}.{field}' for cls in CLASSES
                for field, hint in numbers_of(cls).items()
                if ranges.of(hint) is None]


@pytest.mark.parametrize('cls', CLASSES, ids=lambda cls: cls.__name__)
def test_numbers_outside_their_range_are_refused_and_others_are_not(cls):
  hints = config_lib.hints(cls)
  needed = {field.name: drawn(hints[field.name], random.Random(0))
            for field in dataclasses.fields(cls)
            if config_lib.default(field) is dataclasses.MISSING}
  for name, hint in numbers_of(cls).items():
    kind, allowed = ranges.of(hint)
    for number in outside(allowed):
      with pytest.raises(errors.InputError, match=(
          rf'{cls.__name__}\.{name} should be .*; got ')):
        cls(**needed | {name: holding(hints[name], number)})
    for number in inside(kind, allowed):
      ranges.check(cls, {name: holding(hints[name], number)}, str)


@pytest.mark.parametrize('path, value', [
    ('optimizer.b1', 1.5), ('model.block.dropout', -0.5),
    ('model.block.dropout', 1.0), ('model.init_std', -1),
    ('model.head.softcap', 0), ('training.keep_best', -1),
    ('scoring.context', 0), ('training.seed', -1), ('data.seed', 2**63),
    ('samples.seed', -1), ('optimizer.learning_rate', -1e-3),
    ('optimizer.schedule.warmup', -1), ('training.steps', 0),
    ('samples.sampling.temperature', -1), ('data.split.valid', 1.5),
])
def test_a_flag_outside_its_range_is_refused_by_its_path(path, value):
  flag = config_flags.ConfigFlag(
      named.Named(experiment.Pretrain, experiment.Pretrain()), {})
  flag.take([f'--config.{path}={value}'])
  with pytest.raises(errors.InputError, match=f'^config.{path} should be'):
    flag.config()


@pytest.mark.parametrize('name', UNIONS)
def test_a_kind_chosen_by_flag_is_what_its_constructor_makes(name):
  hint, rng = UNIONS[name], random.Random(name)
  holder = dataclasses.make_dataclass('Holder', [('part', hint)], frozen=True)
  kinds = [kind for kind in config_lib.kinds(hint).values() if complete(kind)]
  starts = [varied(kind(), kind, rng) for kind in kinds] + [None] * (
      config_lib.optional(hint))
  for start in starts:
    for kind in kinds:
      flag = config_flags.ConfigFlag(named.Named(holder, holder(start)), {})
      flag.take([f'--config.part.kind={kind.__name__}'])
      want = start if type(start) == kind else kind()
      assert flag.config().part == want
    if config_lib.optional(hint):
      assert overrides.override(
          holder(start), {'part.kind': 'none'}).part is None


@pytest.mark.parametrize('seed', [
    0, 1, *(pytest.param(seed, marks=pytest.mark.slow)
            for seed in range(2, 8))])
@pytest.mark.parametrize('cls', ROOTS, ids=lambda c: c.__name__)
def test_flags_and_json_lead_back_to_the_same_config(cls, seed):
  rng = random.Random(seed)
  config = varied(cls(), cls, rng)
  assert config != cls()
  for base in cls(), varied(cls(), cls, rng):
    flag = config_flags.ConfigFlag(named.Named(cls, base), {})
    args = list(flags_for(config, base, cls))
    rng.shuffle(args)
    assert not flag.take(args)
    assert flag.config() == config, args
  saved = json.loads(config_lib.dumps(config))
  assert config_lib.freeze(cls, saved) == config
