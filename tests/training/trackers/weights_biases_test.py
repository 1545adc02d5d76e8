"""W&B offline: its file of records holds what was written, and no secret."""
import json
import os
import struct
import time

import numpy as np
import pytest

from lmjax.core import errors
from lmjax.training.trackers import tracker
from lmjax.training.trackers import weights_biases

wandb = pytest.importorskip('wandb')
pytestmark = pytest.mark.slow
OFFLINE = weights_biases.WandB(project='tests', mode='offline', tags=('a',))


def records(path):
  """Returns the records of all offline runs in the directory of a run."""
  from wandb.proto import wandb_internal_pb2
  found = []
  for file in sorted(path.glob('wandb/offline-run-*/run-*.wandb')):
    own, deadline = [], time.monotonic() + 60
    # Another process writes the file, also after `finish` has returned.
    while not any(record.HasField('exit') for record in own):
      assert time.monotonic() < deadline, file
      own = [wandb_internal_pb2.Record.FromString(data)
             for data in logged(file.read_bytes())]
    found += own
  return found


def logged(data):
  """Yields the records of a LevelDB log, after W&B's header of 7 bytes."""
  at, record = 7, b''
  while at + 7 <= len(data):
    left = 32768 - at % 32768  # A record's header does not cross a block.
    if left < 7:
      at += left
      continue
    size, kind = struct.unpack('<HB', data[at + 4:at + 7])
    record += data[at + 7:at + 7 + size]
    at += 7 + size
    if kind in (1, 4):  # A whole record, or its last part.
      yield record
      record = b''


def rows(path):
  """Returns the rows, as {key: value}."""
  return [{'.'.join(item.nested_key) or item.key: json.loads(item.value_json)
           for item in record.history.item}
          for record in records(path) if record.HasField('history')]


def test_rows_texts_and_histograms_are_written(tmp_path):
  with tracker.opened([OFFLINE], tmp_path) as (out,):
    out.describe({'optimizer.learning_rate': 0.1})
    out.write(5, {'loss': 1.5, 'batch': 'a1b2'})
    out.histogram(5, 'gradients/x', np.array([1, 2]), np.array([0., 1., 2.]))
    out.write(6, {'loss': 1.25})
    out.text(6, 'samples/0', 'a < b')
  found = rows(tmp_path)
  assert [row['_step'] for row in found] == [5, 6]
  assert [row['loss'] for row in found] == [1.5, 1.25]
  assert found[0]['gradients/x.values'] == [1, 2]
  assert found[1]['samples/0 of step 6._type'] == 'html-file'
  assert 'batch' not in found[0]
  pages = list(tmp_path.glob('wandb/*/files/media/html/**/*.html'))
  assert 'a &lt; b' in pages[0].read_text()


def test_a_run_that_continues_is_the_same_run(tmp_path):
  for step in 1, 2:
    with tracker.opened([OFFLINE], tmp_path, step - 1) as (out,):
      out.write(step, {'loss': 1.0})
  ids = {record.run.run_id for record in records(tmp_path)
         if record.HasField('run')}
  assert ids == {json.loads((tmp_path / 'wandb.json').read_text())['id']}


def test_the_command_line_is_not_recorded(tmp_path, monkeypatch):
  monkeypatch.setattr('sys.argv', ['train', '--api_key=swordfish'])
  with tracker.opened([OFFLINE], tmp_path) as (out,):
    out.write(1, {'loss': 1.0})
  for path in tmp_path.rglob('*'):
    assert not path.is_file() or b'swordfish' not in path.read_bytes(), path


def test_online_without_a_key_is_refused_before_training(tmp_path, monkeypatch):
  for name in list(os.environ):
    if name.startswith('WANDB'):
      monkeypatch.delenv(name)
  monkeypatch.setenv('HOME', str(tmp_path))
  monkeypatch.setenv('WANDB_BASE_URL', 'http://127.0.0.1:9')
  online = weights_biases.WandB(mode='online')
  with pytest.raises(errors.InputError, match='WandB cannot be opened'):
    with tracker.opened([online], tmp_path):
      pass
