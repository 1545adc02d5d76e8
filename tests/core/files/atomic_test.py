"""A file or a folder is written completely or not at all."""
import os

import pytest

from lmjax.core.files import atomic
from lmjax.core.files import durable
from lmjax.core.files import flock

LONG = 'é' * 127  # 254 bytes; file systems allow 255.


def fail(*unused):
  raise OSError(28, 'No space left on device')


def test_text_and_bytes_are_written(tmp_path):
  atomic.write(tmp_path / 'text', 'ü\n')
  atomic.write(tmp_path / 'bytes', b'\xff')
  assert (tmp_path / 'text').read_bytes() == 'ü\n'.encode()
  assert (tmp_path / 'bytes').read_bytes() == b'\xff'


def test_a_relative_name_is_written(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  atomic.write('text', 'whole')
  assert os.listdir() == ['text']


def test_a_file_that_cannot_be_synced_stays_as_it_was(tmp_path, monkeypatch):
  path = tmp_path / 'text'
  atomic.write(path, 'whole')
  monkeypatch.setattr(os, 'fsync', fail)
  with pytest.raises(OSError):
    atomic.write(path, 'half')
  assert path.read_text() == 'whole'
  assert os.listdir(tmp_path) == ['text']


def test_a_file_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch):
  steps = []
  monkeypatch.setattr(os, 'fsync', lambda _: steps.append('contents'))
  monkeypatch.setattr(durable, 'rename', lambda *_: steps.append('name'))
  atomic.write(tmp_path / 'text', 'whole')
  assert steps == ['contents', 'name']


def test_a_folder_is_on_disk_before_it_gets_its_name(tmp_path, monkeypatch):
  steps = []
  monkeypatch.setattr(durable, 'sync_tree', lambda path: steps.append(
      sorted(p.name for p in path.iterdir())))
  monkeypatch.setattr(durable, 'rename', lambda *_: steps.append('name'))
  with atomic.folder(tmp_path / 'new') as folder:
    (folder / 'a').touch()
  assert steps == [['a'], 'name']


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
  path = tmp_path / 'new' / 'folder'
  with atomic.folder(path) as folder:
    (folder / 'file').write_text('text')
    assert not path.exists()
  assert (path / 'file').read_text() == 'text'
  with pytest.raises(KeyError), atomic.folder(tmp_path / 'other') as folder:
    (folder / 'file').touch()
    raise KeyError
  with pytest.raises(OSError), atomic.folder(path) as folder:
    (folder / 'file').write_text('must not replace what is there')
  assert (path / 'file').read_text() == 'text'
  assert [p.name for p in tmp_path.rglob('*')] == ['new', 'folder', 'file']


def test_two_writers_of_one_name_do_not_disturb_each_other(tmp_path):
  path = tmp_path / 'text'
  with atomic.opened(path) as one, atomic.opened(path) as other:
    one.write('one')
    other.write('other')
  assert path.read_text() == 'one'  # It was closed last.
  assert os.listdir(tmp_path) == ['text']


def test_the_longest_names_can_be_written(tmp_path):
  atomic.write(tmp_path / LONG, 'text')
  with atomic.folder(tmp_path / f'{LONG[1:]}.') as folder:
    (folder / LONG).touch()
  assert len(os.listdir(tmp_path)) == 2


def test_remains_of_killed_processes_are_swept(tmp_path):
  path = tmp_path / 'a[b]'
  for name in 'a[b].0123456789abcdef.tmp', 'ab.0123456789abcdef.tmp':
    (tmp_path / name).touch()
  left = tmp_path / 'a[b].fedcba9876543210.tmp'
  left.mkdir()
  (left / 'file').touch()
  with atomic.opened(path) as used:
    used.write('one')
    atomic.write(path, 'other')
  assert path.read_text() == 'one'
  assert {*os.listdir(tmp_path)} == {'a[b]', 'ab.0123456789abcdef.tmp'}


def test_nothing_is_swept_where_locks_are_not_supported(tmp_path, monkeypatch):
  monkeypatch.setattr(atomic.flock, 'acquire', lambda _: None)
  (tmp_path / 'a.0123456789abcdef.tmp').touch()
  atomic.write(tmp_path / 'a', 'text')
  assert {*os.listdir(tmp_path)} == {'a', 'a.0123456789abcdef.tmp'}


def test_a_file_that_was_swept_before_it_was_locked_is_made_again(
    tmp_path, monkeypatch):
  acquire, found = flock.acquire, []

  def late(descriptor):
    if not found:
      found.extend(tmp_path.iterdir())
      found[0].unlink()
    return acquire(descriptor)
  monkeypatch.setattr(flock, 'acquire', late)
  atomic.write(tmp_path / 'a', 'text')
  assert found and os.listdir(tmp_path) == ['a']
