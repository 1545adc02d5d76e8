"""A file is written completely or not at all."""
import os

import pytest

from lmjax.core.files import atomic


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
  path = tmp_path / 'text'
  atomic.write(path, 'whole')

  def fail(*unused):
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr(os, 'fsync', fail)
  with pytest.raises(OSError):
    atomic.write(path, 'half')
  assert path.read_text() == 'whole'
  assert not path.with_name('text.tmp').exists()
