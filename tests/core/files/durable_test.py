"""Every change is synced, in the order in which it has to be on the disk."""
import errno
import os

import pytest

from lmjax.core.files import durable


@pytest.fixture
def synced(monkeypatch):
  """The paths that are synced, in order."""
  paths, fsync = [], os.fsync

  def note(descriptor):
    paths.append(os.readlink(f'/proc/self/fd/{descriptor}'))
    fsync(descriptor)
  monkeypatch.setattr(os, 'fsync', note)
  return paths


def test_a_tree_is_synced_from_its_leaves(tmp_path, synced):
  (tmp_path / 'a' / 'b').mkdir(parents=True)
  (tmp_path / 'a' / 'b' / 'file').touch()
  (tmp_path / 'a' / 'other').touch()
  durable.sync_tree(tmp_path / 'a')
  names = [os.path.relpath(path, tmp_path) for path in synced]
  assert names == ['a/b/file', 'a/b', 'a/other', 'a']


def test_new_parents_are_synced(tmp_path, synced):
  durable.make_folder(tmp_path / 'a' / 'b')
  assert (tmp_path / 'a' / 'b').is_dir()
  assert synced == [str(tmp_path), str(tmp_path / 'a')]
  durable.make_folder(tmp_path / 'a' / 'b')
  assert len(synced) == 2


def test_both_parents_of_a_rename_are_synced(tmp_path, synced):
  (tmp_path / 'from').mkdir()
  (tmp_path / 'from' / 'file').touch()
  durable.rename(tmp_path / 'from' / 'file', tmp_path / 'file')
  assert (tmp_path / 'file').exists()
  assert sorted(synced) == [str(tmp_path), str(tmp_path / 'from')]


def test_a_relative_name_is_renamed(tmp_path, monkeypatch, synced):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'a').touch()
  durable.rename('a', 'b')
  assert os.listdir() == ['b'] and synced == [str(tmp_path)]


def test_a_tree_loses_its_name_before_its_files(tmp_path, monkeypatch):
  (tmp_path / 'a').mkdir()
  (tmp_path / 'a' / 'file').touch()
  whole = []
  monkeypatch.setattr(durable, 'sync', lambda path: whole.append(
      [(tmp_path / 'aside' / 'file').exists(), (tmp_path / 'a').exists()]))
  durable.remove_tree(tmp_path / 'a', tmp_path / 'aside')
  assert whole == [[True, False]] and not os.listdir(tmp_path)


@pytest.mark.parametrize('code', [errno.EINVAL, errno.ENOTSUP, errno.EACCES])
def test_file_systems_that_cannot_sync_folders_are_used(
    tmp_path, monkeypatch, code):
  def fail(_):
    raise OSError(code, os.strerror(code))
  monkeypatch.setattr(os, 'fsync', fail)
  durable.sync(tmp_path)
  (tmp_path / 'file').touch()
  with pytest.raises(OSError):
    durable.sync(tmp_path / 'file')


def test_a_failure_to_sync_is_not_hidden(tmp_path, monkeypatch):
  def fail(_):
    raise OSError(errno.EIO, 'Input/output error')
  monkeypatch.setattr(os, 'fsync', fail)
  with pytest.raises(OSError):
    durable.sync(tmp_path)
