"""Names from artefacts cannot lead out of their folder."""
import os

import pytest

from lmjax.core import errors
from lmjax.core.files import safe_paths


@pytest.mark.parametrize('name, why', [
    ('', 'is empty'), ('  ', 'is empty'), ('.', 'is empty'),
    ('/etc/passwd', 'is absolute'), ('//host/x', 'is absolute'),
    ('C:/x', 'is absolute'), ('C:x', 'is absolute'),
    ('..', r"has a '\.\.'"), ('../x', r"has a '\.\.'"),
    ('a/../../x', r"has a '\.\.'"), ('a/..', r"has a '\.\.'"),
    ('..\\x', 'has a backslash'), ('a\0b', 'has a NUL'),
    ('x' * 5000, 'cannot be followed'), (7, 'is not a text'),
    (None, 'is not a text')])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name, why):
  with pytest.raises(errors.InputError, match=why):
    safe_paths.safe_join(tmp_path, name)


@pytest.mark.parametrize('name', [
    'a', 'a/b', '..a', 'a..b', 'a/./b', 'with space', '日本', 'absent/x.json'])
def test_a_name_within_is_joined(tmp_path, name):
  (tmp_path / 'a').mkdir()
  assert safe_paths.safe_join(tmp_path, name) == tmp_path / name


def test_links_are_followed(tmp_path):
  root, outside = tmp_path / 'root', tmp_path / 'root2'
  root.mkdir()
  outside.mkdir()
  (outside / 'x').write_text('secret')
  (root / 'own').write_text('fine')
  (root / 'within').symlink_to('own')
  (root / 'file').symlink_to(outside / 'x')
  (root / 'folder').symlink_to(outside)
  (root / 'dangling').symlink_to(outside / 'absent')
  (root / 'loop').symlink_to('loop')
  assert safe_paths.safe_join(root, 'within').read_text() == 'fine'
  for name in 'file', 'folder', 'folder/x', 'dangling':
    with pytest.raises(errors.InputError, match='leads out'):
      safe_paths.safe_join(root, name)
  with pytest.raises(errors.InputError, match='cannot be followed'):
    safe_paths.safe_join(root, 'loop')
  (tmp_path / 'link').symlink_to(root)  # The root was named by the user.
  assert safe_paths.safe_join(tmp_path / 'link', 'own').read_text() == 'fine'


def test_pipes_and_devices_are_refused(tmp_path):
  os.mkfifo(tmp_path / 'pipe')
  with pytest.raises(errors.InputError, match='a pipe'):
    safe_paths.safe_join(tmp_path, 'pipe')
  with pytest.raises(errors.InputError, match='a device'):
    safe_paths.safe_join('/dev', 'null')


def test_a_whole_tree_is_checked(tmp_path):
  deep = tmp_path / 'step' / 'a' / 'b'
  deep.mkdir(parents=True)
  (deep / 'file').write_text('x')
  (deep / 'link').symlink_to('file')
  (deep / 'up').symlink_to('../..')
  safe_paths.check_tree(tmp_path, 'step')
  for name in 'link', 'up':
    (deep / 'evil').symlink_to('/etc' if name == 'up' else '/etc/hostname')
    with pytest.raises(errors.InputError, match='step/a/b/evil.*leads out'):
      safe_paths.check_tree(tmp_path, 'step')
    (deep / 'evil').unlink()
  os.mkfifo(deep / 'pipe')
  with pytest.raises(errors.InputError, match='a pipe'):
    safe_paths.check_tree(tmp_path, 'step')
