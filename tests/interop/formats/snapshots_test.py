"""Files are found in folders and in a hub's cache, and nowhere else."""
import pytest

from lmjax.core import errors
from lmjax.interop.formats import snapshots


@pytest.fixture
def snapshot(tmp_path):
  """A model in a hub's cache, beside which there is another file."""
  (tmp_path / 'secret').write_text('secret')
  folder = tmp_path / 'model' / 'snapshots' / 'main'
  folder.mkdir(parents=True)
  (tmp_path / 'model' / 'blobs').mkdir()
  (tmp_path / 'model' / 'blobs' / '0123').write_text('weights')
  (folder / 'file').symlink_to('../../blobs/0123')
  (folder / 'out').symlink_to(tmp_path / 'secret')
  return folder


def test_a_file_of_a_folder_is_found(tmp_path):
  (tmp_path / 'file').write_text('weights')
  assert snapshots.file(tmp_path, 'file').read_text() == 'weights'


def test_a_link_to_a_blob_is_followed(snapshot, monkeypatch):
  assert snapshots.file(snapshot, 'file').read_text() == 'weights'
  monkeypatch.chdir(snapshot)
  assert snapshots.file('.', 'file').read_text() == 'weights'


@pytest.mark.parametrize('name', [
    'out', '../../blobs/0123', '..', 'a\\b', 'a\0b'])
def test_a_name_or_link_that_leads_out_is_refused(snapshot, name):
  with pytest.raises(errors.InputError, match='is not a name within'):
    snapshots.file(snapshot, name)


def test_only_a_cache_may_have_links_beside_it(snapshot):
  folder = snapshot.parents[1] / 'plain'
  folder.mkdir()
  (folder / 'file').symlink_to('../blobs/0123')
  with pytest.raises(errors.InputError, match='leads out'):
    snapshots.file(folder, 'file')
