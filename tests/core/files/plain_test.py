"""Orbax and TensorStore are given no path that they misread."""
import os
import pathlib
import tempfile

import pytest

from lmjax.core.files import plain
from lmjax.core import errors


@pytest.mark.parametrize('name', ['runs/demo', 'a b', 'über', '日本', '~x', '-a=1'])
def test_a_plain_path_is_kept(name):
  with plain.path(pathlib.Path('/') / name) as path:
    assert path == pathlib.Path('/') / name


@pytest.mark.parametrize('name', [
    '[1]', 'a*', 'a?b', 'a\\b', 'gs:', 'a\nb', '50%', os.fsdecode(b'\xff')])
def test_another_path_is_linked_inside_the_block(name, tmp_path, monkeypatch):
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
  folder = tmp_path / name
  folder.mkdir()
  with plain.path(folder) as path:
    (path / 'file').touch()
    assert str(path).replace(str(tmp_path), '').replace('/', '').isascii()
    assert name not in str(path)
  assert (folder / 'file').exists()
  assert [*tmp_path.iterdir()] == [folder]


def test_without_room_for_a_link_the_way_out_is_named(tmp_path, monkeypatch):
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path / 'gone'))
  with pytest.raises(errors.InputError, match='TMPDIR'):
    with plain.path(tmp_path / '[1]'):
      pass
  with plain.path(pathlib.Path('/runs')):
    pass
