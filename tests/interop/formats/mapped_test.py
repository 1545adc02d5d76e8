"""Files are read as arrays that do not copy, and refused in a sentence."""
import os

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.interop.formats import mapped


def test_a_file_is_a_read_only_array_of_its_bytes(tmp_path):
  (tmp_path / 'x').write_bytes(b'abc')
  found = mapped.content(tmp_path / 'x')
  assert found.tobytes() == b'abc'
  assert type(found) is np.ndarray and not found.flags.writeable


def test_an_array_is_a_view_of_the_file(tmp_path):
  values = np.arange(6, dtype=np.float32).reshape(2, 3)
  (tmp_path / 'x').write_bytes(b'12345678' + values.tobytes())
  found = mapped.content(tmp_path / 'x')
  array = mapped.array(found, 8, values.dtype, (2, 3))
  np.testing.assert_array_equal(array, values)
  assert np.shares_memory(array, found)


def test_bytes_that_are_not_aligned_are_copied(tmp_path):
  values = np.arange(6, dtype=np.float64)
  (tmp_path / 'x').write_bytes(b'123' + values.tobytes())
  array = mapped.array(
      mapped.content(tmp_path / 'x'), 3, values.dtype, (6,))
  np.testing.assert_array_equal(array, values)
  assert array.flags.aligned


@pytest.mark.parametrize('shape, fits', [
    ((), True), ((0, 2**40), True), ((0, 2**62), False), ((2**80,), False),
    ((1,) * 32, True), ((1,) * 33, False)])
def test_shapes_that_numpy_cannot_represent_are_known(shape, fits):
  assert mapped.fits(shape, np.dtype(np.float32)) == fits
  if fits and 0 in shape:
    assert np.empty(shape, np.float32).shape == shape


def test_what_is_no_file_is_refused(tmp_path):
  os.mkfifo(tmp_path / 'pipe')
  (tmp_path / 'empty').touch()
  (tmp_path / 'pointer').write_text('version https://git-lfs.github.com/spec')
  for name, why in (('pipe', 'no regular file'), ('', 'no regular file'),
                    ('absent', 'absent'), ('empty', 'empty'),
                    ('pointer', 'git lfs pull')):
    with pytest.raises(errors.InputError, match=why):
      mapped.content(tmp_path / name)


def test_pages_that_are_forgotten_leave_the_memory_and_can_be_read(tmp_path):
  (tmp_path / 'file').write_bytes(b'7' * (64 << 20))
  found = mapped.content(tmp_path / 'file')
  numbers = mapped.array(found, 0, np.dtype('uint8'), (64 << 20,))
  resident = lambda: sum(
      int(line.split()[1]) for line in open('/proc/self/status')
      if line.startswith('RssFile'))
  assert numbers.max() == ord('7')
  before = resident()
  mapped.forget(numbers)
  assert resident() < before - (60 << 10)
  assert numbers[-1] == ord('7')
  mapped.forget(np.ones(3))  # No view of a file.
