"""A lock is free, held, or not supported."""
import errno
import fcntl
import os

import pytest

from lmjax.core.files import flock


@pytest.mark.parametrize('flags', [os.O_RDWR, os.O_RDONLY])
def test_a_lock_is_held_until_its_descriptor_is_closed(tmp_path, flags):
  path = tmp_path
  if flags == os.O_RDWR:
    path = tmp_path / 'file'
    path.touch()
  one, other = os.open(path, flags), os.open(path, flags)
  assert flock.acquire(one) is True
  assert flock.acquire(other) is False
  os.close(one)
  assert flock.acquire(other) is True
  os.close(other)


def test_a_file_system_without_locks_is_told_from_a_held_lock(monkeypatch):
  def fail(code):
    def raise_it(*unused):
      raise OSError(code, os.strerror(code))
    return raise_it
  monkeypatch.setattr(fcntl, 'flock', fail(errno.ENOLCK))
  assert flock.acquire(0) is None
  monkeypatch.setattr(fcntl, 'flock', fail(errno.EIO))
  with pytest.raises(OSError):
    flock.acquire(0)
