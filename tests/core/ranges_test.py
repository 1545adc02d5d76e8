"""Numbers outside the range that a field's type states are refused by name."""
import dataclasses
from typing import Annotated, Literal

import jax
import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax.core import ranges


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Part:
  rate: ranges.Rate = 0.5
  cap: ranges.Positive | None = None
  sizes: tuple[ranges.Count, ...] = (1, 2)
  scale: ranges.Positive | Literal['auto'] = 'auto'
  heads: Annotated[int, ranges.Range(1, note='Or use another kind.')] = 2

  def __post_init__(self):
    100 // self.heads


@dataclasses.dataclass(frozen=True)
class Root:
  part: Part = Part()


@pytest.mark.parametrize('change, message', [
    ({'rate': 1.0}, 'rate should be at least 0 and below 1; got 1.0.'),
    ({'rate': -0.5}, 'rate should be at least 0 and below 1; got -0.5.'),
    ({'cap': 0.0}, 'cap should be above 0, or none; got 0.0.'),
    ({'sizes': (3, 0)}, 'sizes should be at least 1; got 0.'),
    ({'scale': -1.0}, 'scale should be above 0; got -1.0.'),
    ({'heads': 0}, 'heads should be at least 1; got 0. Or use another kind.'),
])
def test_a_number_outside_its_range_is_refused_by_its_full_name(
    change, message):
  ways = {
      'Part': lambda: Part(**change),
      'Part ': lambda: dataclasses.replace(Part(), **change),
      'config.part': lambda: overrides.override(Root(), {
          f'part.{field}': value for field, value in change.items()}),
      'config.part ': lambda: overrides.override(
          Root(None), {'part.kind': 'Part'} | {
              f'part.{field}': value for field, value in change.items()},
          Root),
      'run.part': lambda: config_lib.freeze(
          Root, {'kind': 'Root', 'part': {'kind': 'Part'} | change}, 'run')}
  for name, make in ways.items():
    with pytest.raises(errors.InputError) as raised:
      make()
    assert str(raised.value) == f'{name.strip()}.{message}'


def test_numbers_inside_and_other_values_are_accepted():
  for change in ({'rate': 0}, {'rate': np.float32(0.25)}, {'cap': None},
                 {'cap': 1e-30}, {'sizes': ()}, {'scale': 'auto'},
                 {'heads': np.int64(3)}):
    Part(**change)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_a_number_that_is_not_finite_is_in_no_range(value):
  assert value not in ranges.Range()
  with pytest.raises(errors.InputError, match='Part.cap should be above 0'):
    Part(cap=value)


def test_a_fraction_is_no_count():
  with pytest.raises(errors.InputError, match='heads should be a whole number'):
    Part(heads=2.5)


def test_a_subclass_checks_its_own_fields_too():
  @dataclasses.dataclass(frozen=True)
  class Wider(Part):
    width: ranges.Count = 1
  with pytest.raises(errors.InputError, match='Wider.width should be at leas'):
    Wider(width=0)
  with pytest.raises(errors.InputError, match='Wider.rate should be'):
    Wider(rate=1.0)


def test_seeds_are_those_that_jax_tells_apart():
  _, allowed = ranges.of(ranges.Seed)
  data = lambda seed: jax.random.key_data(jax.random.key(seed)).tolist()
  assert 0 in allowed and allowed.high in allowed
  assert data(allowed.high) != data(0)
  assert data(allowed.high + 1) == data(0)  # The reason for the bound.
