"""Pickles describe tensors, and all other programs are refused unread."""
import time

import numpy as np
import pytest

from lmjax.interop.formats import torch_pickle
from tests.reference import torch_archives
from tests.reference.torch_archives import Call, Identity, Name

STORAGE = ('storage', Name('torch.FloatStorage'), '0', 'cpu', 6)


def value_of(value):
  return torch_pickle.evaluate(torch_archives.program(value))[0]


@pytest.mark.parametrize('value', [
    None, True, 0, 255, 256, -3, 2**70, 'é', (), (1, (2,)), [1, [2]],
    {'a': {'b': 1}, 'c': []}])
def test_plain_values_are_read(value):
  assert value_of(value) == value


def test_a_tensor_is_described():
  array = np.zeros((2, 3), np.float32)
  expected = torch_pickle.View(
      torch_pickle.Storage('F32', '0', 6), 0, (2, 3), (3, 1))
  described = torch_archives.tensor('0', array)
  assert value_of(described) == expected
  assert value_of(torch_archives.tensor('0', array, legacy=True)) == expected
  assert value_of(Call('torch._utils._rebuild_parameter',
                       (described, True, None))) == expected


@pytest.mark.parametrize('program, value', [
    (b'\x80\4\x95' + bytes(8) + b'\x8c\1a\x94\x85\x94.', ('a',)),
    (b'K\1K\2\x86.', (1, 2)), (b'K\1K\2K\3\x87.', (1, 2, 3)),
    (b'X\1\0\0\0aq\5h\5\x86.', ('a', 'a')),
    (b'X\1\0\0\0ar\5\0\0\0j\5\0\0\0\x86.', ('a', 'a')),
    (b']K\1a.', [1]), (b'}X\1\0\0\0aK\1s.', {'a': 1}),
    (b'M\1\1J\xff\xff\xff\xff\x86.', (257, -1)),
    (b'G\x3f\xf8' + bytes(6) + b'.', 1.5),
    (b'}}b.', {}),
    (b'\x8c\x0bcollections\x8c\x0bOrderedDict\x93)R.', {})])
def test_other_instructions_of_torch_are_known(program, value):
  assert torch_pickle.evaluate(program + b'more') == (value, len(program))


@pytest.mark.parametrize('value, name', [
    (Call('os.system', ('true',)), 'os.system'),
    (Call('builtins.eval', ('1',)), 'builtins.eval'),
    (Name('torch.storage._load_from_bytes'), 'torch.storage._load_from_bytes'),
    (Name('torch.FloatStorage.__init__'), 'torch.FloatStorage.__init__'),
    (Name('collections.Counter'), 'collections.Counter'),
    ({'a': (1, [Call('posix.system', ('true',))])}, 'posix.system')])
def test_what_is_no_part_of_a_tensor_is_refused_by_name(value, name):
  with pytest.raises(ValueError, match=f"names '{name}'"):
    value_of(value)


@pytest.mark.parametrize('program, why', [
    (b'cos\nsystem\n(X\4\0\0\0truetR.', "names 'os.system'"),
    (b'\x80\4\x8c\5posix\x8c\6system\x93\x8c\4true\x85R.',
     "names 'posix.system'"),
    (b'(S"true"\nios\nsystem\n.', "instruction b'S'"),
    (b'(dX\4\0\0\0evil.', "instruction b'd'"),
    (b']]\x81.', r"instruction b'\\x81'"), (b'\x82\1.', r"b'\\x82'"),
    (b'', 'cut short'), (b'K', 'cut short'), (b'.', 'cut short'),
    (b't.', 'cut short'), (b'(.', 'cut short'), (b'h\1.', 'cut short'),
    (b'q\1.', 'cut short'), (b'R.', 'cut short'), (b'u.', 'cut short'),
    (b'X\xff\xff\xff\xffabc', 'cut short'), (b'X\1\0\0\0\xff.', 'damaged'),
    (b'c\xff\n\n.', 'damaged'), (b'cos', 'names'),
    (b'K\1K\2a.', 'not a list'), (b'](K\1u.', 'not a dictionary'),
    (b'}(K\1u.', 'not a dictionary'), (b'}))s.', 'keys of other types'),
    (b'](K\1K\1\x85u.', 'not a dictionary'), (b']}b.', 'not a dictionary'),
    (b'K\1)R.', 'not a function'), (b'))R.', 'not a function'),
    (b'K\1Q.', 'not a storage'), (b'N' * 1_100_000 + b'.', 'more than')])
def test_other_programs_are_refused(program, why):
  with pytest.raises(ValueError, match=why):
    torch_pickle.evaluate(program)


@pytest.mark.parametrize('value, why', [
    (Identity(STORAGE[:4]), 'not a storage'),
    (Identity(STORAGE[:4] + (-1,)), 'not a storage'),
    (Identity(STORAGE[:4] + ('6',)), 'not a storage'),
    (Identity(STORAGE + ((1, 2, 3),)), 'not a storage'),
    (Identity(('storage', Name('collections.OrderedDict'), '0', 'cpu', 6)),
     'not a storage'),
    (Call('torch.FloatStorage', (6,)), 'other arguments of torch.FloatStorage'),
    (Call('collections.OrderedDict', ([],)), 'other arguments'),
    (Call('torch._utils._rebuild_tensor_v2', (1, 0, (), ())),
     'other arguments'),
    (Call('torch._utils._rebuild_parameter', (1, True, None)),
     'other arguments')])
def test_tensors_that_torch_would_not_describe_are_refused(value, why):
  with pytest.raises(ValueError, match=why):
    value_of(value)


def test_a_key_comes_once():
  with pytest.raises(ValueError, match="key 'a' twice"):
    torch_pickle.evaluate(b'}(X\1\0\0\0aNX\1\0\0\0aNu.')


@pytest.mark.parametrize('program', [
    b')' + b'\x85' * 1_000_000 + b'Ns.',  # A deep key of a dictionary.
    b')' + b'q\0h\0\x86' * 300_000 + b'Q.',  # Large if it were printed.
    b'(' * 2_000_000, b'}' * 2_000_000, b'K\0' + b'\x94' * 2_000_000])
def test_a_hostile_program_ends_soon(program):
  begun = time.process_time()
  with pytest.raises(ValueError):
    torch_pickle.evaluate(program)
  assert time.process_time() - begun < 1
