"""A power cut keeps what was synced, and perhaps what was not."""
import os
import shutil
import threading

import pytest

from lmjax.testing import power_cut


def sync(path):
  descriptor = os.open(path, os.O_RDONLY)
  os.fsync(descriptor)
  os.close(descriptor)


def write(path, text, mode='w'):
  with open(path, mode) as file:
    file.write(text)


def left(recording, lost='all'):
  """Returns the states in which `lost` is lost, without repetitions."""
  found = [cut.files for cut in recording.cuts if cut.lost == lost]
  return [files for files, before in zip(found, [None, *found])
          if files != before]


def test_what_is_not_synced_may_be_lost(tmp_path):
  with power_cut.recorded(tmp_path) as recording:
    write(tmp_path / 'a', 'text')
  assert left(recording) == [{}]
  assert left(recording, 'contents') == [{}, {'a': b''}]


def test_contents_and_name_are_synced_each_for_itself(tmp_path):
  with power_cut.recorded(tmp_path) as recording:
    write(tmp_path / 'a', 'text')
    sync(tmp_path / 'a')
  assert left(recording) == [{}]
  assert left(recording, 'contents') == [{}, {'a': b''}, {'a': b'text'}]
  with power_cut.recorded(tmp_path) as recording:
    write(tmp_path / 'b', 'text')
    sync(tmp_path)
  assert left(recording)[-1] == {'a': b'text', 'b': b''}


def test_what_is_there_at_the_start_is_kept(tmp_path):
  (tmp_path / 'folder').mkdir()
  write(tmp_path / 'folder' / 'a', 'text')
  with power_cut.recorded(tmp_path) as recording:
    pass
  assert left(recording) == [{'folder': None, 'folder/a': b'text'}]


def test_a_rename_may_be_lost_on_either_side(tmp_path):
  (tmp_path / 'folder').mkdir()
  write(tmp_path / 'a', 'text')
  with power_cut.recorded(tmp_path) as recording:
    os.rename(tmp_path / 'a', tmp_path / 'folder' / 'b')
    sync(tmp_path)
  assert left(recording) == [  # In the end it has neither name.
      {'a': b'text', 'folder': None}, {'folder': None}]
  assert left(recording, 'contents')[1:] == [
      {'folder': None, 'folder/b': b'text'}]


def test_a_deleted_file_may_come_back_though_its_inode_is_used_again(tmp_path):
  write(tmp_path / 'a', 'old')
  with power_cut.recorded(tmp_path) as recording:
    os.remove(tmp_path / 'a')
    write(tmp_path / 'b', 'new')
    sync(tmp_path / 'b')
  assert left(recording) == [{'a': b'old'}]


def test_a_deleted_tree_may_come_back_in_part(tmp_path):
  (tmp_path / 'folder').mkdir()
  write(tmp_path / 'folder' / 'a', 'text')
  with power_cut.recorded(tmp_path, draws=9) as recording:
    shutil.rmtree(tmp_path / 'folder')
  assert left(recording) == [{'folder': None, 'folder/a': b'text'}]
  assert {'folder': None} in left(recording, 'some')


def test_a_file_is_appended_to_or_written_anew(tmp_path):
  write(tmp_path / 'log', 'one\n')
  write(tmp_path / 'text', 'old')
  with power_cut.recorded(tmp_path, draws=9) as recording:
    write(tmp_path / 'log', 'two\n', 'a')
    write(tmp_path / 'text', 'new and longer')
  assert left(recording)[-1] == {'log': b'one\n', 'text': b''}
  assert {'log': b'one\ntwo\n', 'text': b''} in left(recording, 'some')


def test_a_note_is_taken_at_each_moment(tmp_path):
  done = []
  with power_cut.recorded(tmp_path, note=lambda: tuple(done)) as recording:
    os.mkdir(tmp_path / 'a')
    done.append('a')
  assert [cut.note for cut in recording.cuts if cut.lost == 'all'] == [
      (), ('a',)]


def test_threads_are_watched(tmp_path):
  with power_cut.recorded(tmp_path) as recording:
    thread = threading.Thread(target=lambda: (
        write(tmp_path / 'a', 'text'), sync(tmp_path / 'a'), sync(tmp_path)))
    thread.start()
    thread.join()
  assert left(recording)[-1] == {'a': b'text'}


def test_os_is_as_before_after_the_block(tmp_path):
  before = os.fsync, os.rename
  with pytest.raises(KeyError), power_cut.recorded(tmp_path):
    assert os.fsync is not before[0]
    raise KeyError
  assert (os.fsync, os.rename) == before


def test_a_state_is_written_to_a_folder(tmp_path):
  cut = power_cut.Cut('', 'all', None, {
      'folder': None, 'folder/a': b'text', 'folder/inner': None, 'b': b''})
  cut.write(tmp_path / 'new')
  assert sorted(p.name for p in (tmp_path / 'new').rglob('*')) == [
      'a', 'b', 'folder', 'inner']
  assert (tmp_path / 'new' / 'folder' / 'a').read_bytes() == b'text'
