"""Files of torch give their tensors bit by bit, or are refused."""
import time
import zipfile

import ml_dtypes
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop.formats import elements
from lmjax.interop.formats import torch_files
from tests.reference import fuzz
from tests.reference import torch_archives
from tests.reference import wheels

BASE = np.arange(24, dtype=np.float32)


def arrays():
  draw = np.random.default_rng(0)
  return {f'layer.{dtype}': draw.integers(0, 2, (3, 5)).astype(dtype)
          for dtype in ('float32', 'float16', 'int64', 'bool', 'uint8')} | {
              'bfloat16': np.array([1.5, -2], ml_dtypes.bfloat16),
              'scalar': np.array(3.5, np.float32),
              'empty': np.zeros((0, 4), np.float32)}


def file_of(saved, legacy=False, **more):
  """Returns a file with each array in its own storage."""
  keys = {name: str(i) for i, name in enumerate(saved)}
  value = {name: torch_archives.tensor(keys[name], array, legacy=legacy)
           for name, array in saved.items()}
  if legacy:
    return torch_archives.row_of(
        value, {keys[name]: array for name, array in saved.items()})
  return torch_archives.zip_of(
      value, {keys[name]: array.tobytes() for name, array in saved.items()},
      **more)


def of_base(content=None, **changes):
  """Returns a file with one tensor, which views 24 numbers."""
  return torch_archives.zip_of(
      {'a': torch_archives.tensor('0', BASE, **changes)},
      {'0': BASE.tobytes() if content is None else content})


def read_all(path):
  return {name: tensor.read()
          for name, tensor in torch_files.open_weights(path).items()}


@pytest.fixture
def path(tmp_path):
  return tmp_path / 'pytorch_model.bin'


@pytest.mark.parametrize('legacy', [False, True])
def test_all_types_are_read(path, legacy):
  saved = arrays()
  path.write_bytes(file_of(saved, legacy))
  opened = torch_files.open_weights(path.parent)
  assert opened.keys() == saved.keys()
  for name, array in saved.items():
    tensor = opened[name]
    assert tensor.shape == array.shape
    assert elements.DTYPES[tensor.dtype] == array.dtype
    assert tensor.read().tobytes() == array.tobytes(), name


@pytest.mark.parametrize('changes, expected', [
    ({'shape': (4, 6), 'strides': (6, 1)}, BASE.reshape(4, 6)),
    ({'shape': (6, 4), 'strides': (1, 6)}, BASE.reshape(4, 6).T),
    ({'offset': 3, 'shape': (2, 2), 'strides': (10, 5)}, [[3, 8], [13, 18]]),
    ({'offset': 5, 'shape': (), 'strides': ()}, 5),
    ({'offset': 24, 'shape': (0,), 'strides': (1,)}, []),
    ({'shape': (2, 3), 'strides': (0, 1)}, [[0, 1, 2]] * 2)])
def test_a_view_of_a_storage_is_read(path, changes, expected):
  path.write_bytes(of_base(**changes))
  np.testing.assert_array_equal(read_all(path)['a'], expected)


def test_tensors_may_share_a_storage(path):
  path.write_bytes(torch_archives.zip_of({
      'a': torch_archives.tensor('0', BASE),
      'b': torch_archives.tensor('0', BASE, 20, (4,), (1,))},
                                         {'0': BASE.tobytes()}))
  read = read_all(path)
  assert np.shares_memory(read['a'], read['b'])
  np.testing.assert_array_equal(read['b'], BASE[20:])


@pytest.mark.parametrize('order', ['little', 'big'])
def test_the_byte_order_of_the_file_is_respected(path, order):
  saved = {name: array if order == 'little' else array.byteswap()
           for name, array in arrays().items()}
  path.write_bytes(file_of(saved, byteorder=order.encode()))
  for name, array in arrays().items():
    assert read_all(path)[name].tobytes() == array.tobytes(), name


def test_shards_are_read(tmp_path):
  (tmp_path / 'one.bin').write_bytes(file_of({'a': BASE}))
  (tmp_path / 'two.bin').write_bytes(file_of({'b': BASE}, legacy=True))
  (tmp_path / 'pytorch_model.bin.index.json').write_text(
      '{"weight_map": {"a": "one.bin", "b": "two.bin"}}')
  assert read_all(tmp_path).keys() == {'a', 'b'}


@pytest.mark.parametrize('content, why', [
    (b'not of torch', 'begins like no file of torch'),
    (file_of({'a': BASE})[:-30], 'cut short'),
    (file_of({'a': BASE}, legacy=True)[:-1], 'should have .* bytes'),
    (file_of({'a': BASE}, legacy=True) + b'0', 'should have .* bytes'),
    (file_of({'a': BASE}, compression=zipfile.ZIP_DEFLATED), 'is compressed'),
    (file_of({'a': BASE}, byteorder=b'middle'), "not b'middle'"),
    (torch_archives.zip_of({}, {}).replace(b'data.pkl', b'data.pkx'),
     'one entry data.pkl, but has 0'),
    (torch_archives.zip_of({}, {}, **{'more/data.pkl': b'N.'}),
     'one entry data.pkl, but has 2'),
    (torch_archives.zip_of(bytes(17 << 20), {}), 'more than 16,777,216'),
    (torch_archives.zip_of(b'N.', {}), 'a dictionary of tensors'),
    (torch_archives.zip_of({'step': 3}, {}), "'step' is not a tensor"),
    (torch_archives.zip_of({'a\x1b[2J': 3}, {}), 'cannot be printed'),
    (torch_archives.zip_of(
        {'a': torch_archives.Call('os.system', ('true',))}, {}),
     "names 'os.system'"),
    (torch_archives.zip_of(
        {'a': torch_archives.tensor('../0', BASE)}, {}),
     "storage '../0' is missing"),
    (of_base(BASE.tobytes() + b'0'), 'should have 24 numbers .* has 97 bytes'),
    (of_base(BASE[:-1].tobytes()), 'should have 24 numbers of type F32, .* 92'),
    (of_base(shape=(25,)), r'shape \(25,\) does not fit .* 24 numbers'),
    (of_base(offset=1), 'does not fit'), (of_base(strides=(2,)), 'not fit'),
    (of_base(shape=(2**40,), strides=(0,)), 'does not fit'),
    (of_base(offset=25, shape=(0,)), 'does not fit'),
    (of_base(offset=-1), 'not counts'), (of_base(shape=(-1,)), 'not counts'),
    (of_base(strides=(-1,)), 'not counts'), (of_base(shape=('1',)), 'counts'),
    (of_base(shape=(0, 2**63), strides=(1, 1)), r'has the shape \(0, 92'),
    (of_base(shape=(24, 1)), 'has the shape'),
    (torch_archives.row_of({'a': 1}, {}), "'a' is not a tensor"),
    (torch_archives.row_of({}, {'0': BASE}), 'not those of its tensors'),
    (torch_archives.row_of(
        {'a': torch_archives.tensor('0', BASE)}, {'0': BASE[1:]}),
     'not those of its tensors'),
    (torch_archives.row_of({}, {}, version=1002), 'not in the order of torch'),
    (torch_archives.row_of({}, {}, keys=3), 'not in the order of torch'),
    (torch_archives.row_of({}, {}, keys=[[]]), 'not those of its tensors'),
    (torch_archives.row_of(
        {'a': torch_archives.tensor('0', BASE)}, {'0': BASE, '1': BASE},
        keys=['0', '0']), 'not those of its tensors'),
    (torch_archives.row_of(
        {'a': torch_archives.tensor('0', BASE.astype(np.float16)),
         'b': torch_archives.tensor('0', BASE)}, {'0': BASE}),
     "storage '0' is missing"),
    (torch_archives.row_of({'a': torch_archives.tensor('0', BASE)}, {}),
     "storage '0' is missing"),
], ids=range(36))
def test_a_file_that_is_not_intact_is_refused(path, content, why):
  path.write_bytes(content)
  begun = time.process_time()
  with pytest.raises(errors.InputError, match=why):
    read_all(path)
  assert time.process_time() - begun < 1


@pytest.mark.parametrize('what, entry', [
    (BASE.tobytes(), 'archive/data/0'), (b'FloatStorage', 'archive/data.pkl')])
def test_a_changed_byte_is_seen(path, what, entry):
  content = bytearray(file_of({'a': BASE}))
  content[content.index(what) + 1] ^= 1
  path.write_bytes(content)
  with pytest.raises(errors.InputError, match=f"'{entry}'.*CRC-32 should be"):
    read_all(path)


@pytest.mark.parametrize('legacy', [False, True])
def test_a_truth_value_is_zero_or_one(path, legacy):
  flags = np.array([0, 1, 2], np.uint8).view(bool)
  path.write_bytes(file_of({'a': flags}, legacy))
  with pytest.raises(errors.InputError, match='only the bytes 0 and 1'):
    read_all(path)


def fuzzed(path, count, legacy):
  content = file_of(arrays(), legacy)
  if not legacy:  # Most changes go to the pickle and the directory.
    return [sum(both) for both in zip(
        fuzz.check(read_all, path, fuzz.damaged(content, count // 2, 0, 2000)),
        fuzz.check(read_all, path, fuzz.damaged(content, count // 2, 1)))]
  return fuzz.check(read_all, path, fuzz.damaged(content, count, 0, 2000))


@pytest.mark.parametrize('legacy', [False, True])
def test_damaged_copies_are_read_or_refused(path, legacy):
  read, refused = fuzzed(path, 300, legacy)
  assert refused > 150 and read + refused == 300


@pytest.mark.slow
@pytest.mark.parametrize('legacy', [False, True])
def test_many_damaged_copies_are_read_or_refused(path, legacy):
  assert sum(fuzzed(path, 10_000, legacy)) == 10_000


@pytest.mark.slow
@pytest.mark.parametrize('options', [
    {}, {'pickle_protocol': 4}, {'_use_new_zipfile_serialization': False}])
def test_files_of_torch_are_read(path, options):
  torch = pytest.importorskip('torch')
  base = torch.arange(24.)
  saved = {str(kind): torch.ones(2, 3, dtype=kind) for kind in (
      torch.float64, torch.float16, torch.int64, torch.int32, torch.int16,
      torch.int8, torch.uint8, torch.complex64)} | {
          'transposed': base.view(4, 6).T, 'part': base[3:9],
          'bfloat16': torch.ones(3, dtype=torch.bfloat16) * 1.5,
          'empty': torch.zeros(0, 4), 'scalar': torch.tensor(3.5),
          'flags': torch.tensor([True, False]),
          'parameter': torch.nn.Linear(3, 2).weight,
          'expanded': torch.arange(5).expand(1, 5)}
  torch.save(saved, path, **options)
  read = read_all(path)
  assert read.keys() == saved.keys()
  for name, tensor in saved.items():
    expected = tensor.detach()
    assert read[name].shape == tuple(expected.shape)
    if name == 'bfloat16':
      np.testing.assert_array_equal(
          read[name].view(np.uint16), expected.view(torch.uint16).numpy())
    else:
      np.testing.assert_array_equal(read[name], expected.numpy())


@pytest.mark.slow
def test_a_state_of_torch_is_read_and_a_module_refused(path):
  torch = pytest.importorskip('torch')
  module = torch.nn.Sequential(torch.nn.Linear(3, 2))
  torch.save(module.state_dict(), path)
  assert read_all(path).keys() == {'0.weight', '0.bias'}
  torch.save(module, path)
  with pytest.raises(errors.InputError, match="container.Sequential'"):
    read_all(path)


@pytest.mark.slow
def test_published_weights_are_read():
  folder = wheels.folder('rxnfp==0.1.0') / 'rxnfp/models/transformers'
  for name, count in ('bert_pretrained', 207), ('bert_ft', 199), (
      'bert_ft_10k_25s', 201):
    read = read_all(folder / name)
    assert len(read) == count
    assert all(np.isfinite(array).all() for array in read.values())
  with pytest.raises(errors.InputError, match="names 'argparse.Namespace'"):
    read_all(folder / 'bert_ft_10k_25s' / 'training_args.bin')
