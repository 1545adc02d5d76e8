"""A step is on disk as a whole or not at all, and failures are told."""
import logging
import threading

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.testing import faults
from lmjax.training import checkpoints_reading as reading
from lmjax.training import checkpoints_writing as writing

ITEMS = {'params': {'a': np.zeros((200, 200), np.float32)}}


def make(directory, keep_last=9, keep_best=0, max_failed_saves=2):
  writer = writing.Writer(directory, keep_last, keep_best, max_failed_saves)
  writer.open()
  return writer


def write(writer, step, score=None):
  writer.start(ITEMS, {'step': step, 'score': score})
  writer.join()


def test_keeps_the_last_and_the_best(tmp_path):
  writer = make(tmp_path, keep_last=2, keep_best=1)
  for step, score in enumerate([3.0, 1.0, 2.0, None, 1.5], 1):
    write(writer, step, score)
  assert sorted(p.name for p in tmp_path.iterdir()) == ['2', '4', '5']
  assert writer.most_steps == 4


def test_says_what_wrote_it(tmp_path):
  write(make(tmp_path), 1)
  code = reading.about(tmp_path, 1)['code']
  assert {'jax', 'orbax-checkpoint'} <= code['versions'].keys()


def test_what_a_kill_left_is_removed_and_nothing_else(tmp_path):
  for name in ('7.saving.0', '7.saving.1.orbax-checkpoint-tmp',
               '5.deleted', '6', 'damaged', 'x.deleted'):
    (tmp_path / name).mkdir()
    (tmp_path / name / 'file').touch()
  make(tmp_path)
  assert sorted(p.name for p in tmp_path.iterdir()) == [
      '6', 'damaged', 'x.deleted']


def test_steps_are_moved_aside_whole(tmp_path):
  writer = make(tmp_path)
  for _ in range(3):
    write(writer, 4)
    writer.set_aside([4])
  assert reading.steps(tmp_path) == []
  assert sorted(p.name for p in (tmp_path / 'damaged').iterdir()) == [
      '4', '4-1', '4-2']
  assert (tmp_path / 'damaged' / '4-2' / 'about' / 'metadata').is_file()


def test_a_full_disk_costs_one_step(tmp_path, caplog):
  writer = make(tmp_path)
  write(writer, 1)
  with faults.fill_disk(100_000), caplog.at_level(logging.ERROR):
    write(writer, 2)
  assert [p.name for p in tmp_path.iterdir()] == ['1']
  message, = (r.getMessage() for r in caplog.records
              if r.name.startswith('lmjax'))  # Orbax has much to say.
  assert 'File too large' in message and '\n' not in message
  assert message.startswith(f'Step 2 could not be saved in {tmp_path} (')
  assert 'it takes 160,000 bytes, ' in message and ' are free' in message
  assert 'failed saves in a row: 1 of at most 2' in message
  with pytest.raises(
      writing.FailedSaves, match=r'last save .*steps there: \[1\]'):
    writer.check()
  write(writer, 3)
  writer.check()
  assert reading.steps(tmp_path) == [1, 3]


def test_so_many_failures_in_a_row_end_it(tmp_path):
  writer = make(tmp_path)
  with faults.fill_disk(100_000):
    write(writer, 1)
    write(writer, 2)
    with pytest.raises(writing.FailedSaves, match='last 2 saves failed.*none'):
      write(writer, 3)


def test_a_save_that_writes_nothing_has_failed(tmp_path, monkeypatch):
  import orbax.checkpoint as ocp
  monkeypatch.setattr(ocp.Checkpointer, 'save', lambda *_, **__: False)
  writer = make(tmp_path)
  write(writer, 1)
  with pytest.raises(writing.FailedSaves, match='No such file'):
    writer.check()


def test_a_directory_that_cannot_be(tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(errors.InputError, match='cannot be kept in'):
    make(tmp_path / 'file')


def test_hashing_does_not_hold_up_whoever_saves(tmp_path, monkeypatch):
  ready = threading.Event()
  describe = writing.digests.describe
  monkeypatch.setattr(writing.digests, 'describe',
                      lambda tree: ready.wait(20) and describe(tree))
  writer = make(tmp_path)
  writer.start(ITEMS, {'step': 1, 'score': None})
  assert reading.steps(tmp_path) == []
  ready.set()
  writer.join()
  assert reading.steps(tmp_path) == [1]
