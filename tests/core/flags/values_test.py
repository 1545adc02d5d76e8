"""The text of a flag becomes the value that its field's type asks for."""
import dataclasses
from typing import Literal

import pytest

from lmjax.core import errors
from lmjax.core.flags import values


@dataclasses.dataclass(frozen=True)
class Part:
  size: int = 1


READ = [
    (int, '3', 3), (int, '-3', -3), (int, '1e6', 1_000_000),
    (int, '1_000_000', 1_000_000), (int, '2.0', 2), (int | None, '7', 7),
    (int | None, 'none', None), (float | None, 'None', None),
    (float | None, 'null', None), (str | None, 'Null', None),
    (str | None, '"null"', 'null'), (str, 'null', 'null'),
    (Part | None, 'null', None),
    (float, '1', 1.0), (float, '3e-4', 3e-4), (float, '-.5', -0.5),
    (bool, 'true', True), (bool, 'False', False), (bool, '1', True),
    (bool, '0', False), (bool | None, 'none', None),
    (str, 'none', 'none'), (str, '"a"', '"a"'), (str, '', ''),
    (str | None, 'none', None), (str | None, '"none"', 'none'),
    (str | None, 'a b', 'a b'), (str | None, '""', ''),
    (Literal['none', 'full'], 'none', 'none'),
    (Literal['a', 'b'] | None, 'none', None), (Literal[1, 2], '2', 2),
    (int | str, '3', 3), (int | str, 'best', 'best'),
    (tuple[str, ...], 'a.txt,b.txt', ('a.txt', 'b.txt')),
    (tuple[str, ...], 'a.txt', ('a.txt',)), (tuple[str, ...], '', ()),
    (tuple[str, ...], '["a, b.txt"]', ('a, b.txt',)),
    (tuple[str, ...], "('a, b',)", ('a, b',)), (tuple[str, ...], '()', ()),
    (tuple[str, ...], '[3]', ('3',)), (tuple[str, ...], '(3,)', ('3',)),
    (tuple[str, ...], '3', ('3',)), (tuple[str, ...], '3,x', ('3', 'x')),
    (tuple[str, ...], '[]', ()), (tuple[str, ...], '[""]', ('',)),
    (tuple[str, ...], '[MASK]', ('[MASK]',)),
    (tuple[str, ...], '[PRE],[SUF]', ('[PRE]', '[SUF]')),
    (tuple[str, ...], '"a","b"', ('"a"', '"b"')),
    (tuple[str, ...] | None, 'none', None),
    (tuple[float, ...], '1,0.5', (1.0, 0.5)),
    (tuple[int, int], '2,3', (2, 3)),
    (tuple[tuple[str, float], ...], '[["a", 1], ["b", 0.5]]',
     (('a', 1.0), ('b', 0.5))),
    (Part | None, 'none', None), (Part, '{"kind": "Part", "size": 2}', Part(2)),
    (tuple[Part, ...], '[{"kind": "Part"}]', (Part(),)),
]


@pytest.mark.parametrize('hint, text, value', READ)
def test_text_is_read_as_its_field_asks(hint, text, value):
  read = values.parse(text, hint, 'x')
  assert read == value and isinstance(read, type(value))
  assert values.parse(values.text(value, hint), hint, 'x') == value


@pytest.mark.parametrize('hint, text, message', [
    (int, 'wide', "x should be a whole number; got 'wide'."),
    (int, '1.5', "x should be a whole number; got '1.5'."),
    (int, '1e300', "x should be a whole number; got '1e300'."),
    (int, 'nan', "x should be a whole number; got 'nan'."),
    (int, 'none', "x should be a whole number; got 'none'."),
    (int, 'true', "x should be a whole number; got 'true'."),
    (float, 'inf', "x should be a number; got 'inf'."),
    (float | None, 'fast', "x should be a number or none; got 'fast'."),
    (bool, 'yes', "x should be true or false; got 'yes'."),
    (Literal['train', 'test'], 'tests',
     "x should be 'train' or 'test'; got 'tests'. Did you mean 'test'?"),
    (tuple[float, ...], '1,b', "x.1 should be a number; got 'b'."),
    (tuple[int, int], '1,2,3', "x should be 2 values separated by commas; got "
     "'1,2,3'."),
    (tuple[int, ...], '["a"]', "x.0 should be int; got 'a'."),
    (tuple[tuple[str, float], ...], 'a,1', 'x should be a list of lists or of '
     "parts, as JSON; got 'a,1'."),
    (Part, 'Part', "x is a part, which is chosen by its kind, one of ['Part']: "
     "--x.kind=Part. Did you mean 'Part'?"),
    (Part | None, '3', "x is a part, which is chosen by its kind, one of "
     "['Part', 'none']: --x.kind=Part."),
    (Part, '{"kind": "Part", "sise": 2}',
     "x.sise is not a field of Part. Did you mean 'size'?"),
])
def test_text_that_is_not_such_a_value_is_refused(hint, text, message):
  with pytest.raises(errors.InputError) as caught:
    values.parse(text, hint, 'x')
  assert str(caught.value) == message
