"""TensorBoard's files hold what was written."""
import importlib
import pathlib
import struct
import sys

import numpy as np
import pytest

from lmjax.testing import faults
from lmjax.training.trackers import tensorboard
from lmjax.training.trackers import tracker


def events(folder):
  """Returns the events in a folder's only file."""
  from tensorboardX.proto import event_pb2
  path, = folder.glob('events.out.tfevents.*')
  data, found = path.read_bytes(), []
  while data:  # A record is length, checksum, event, checksum.
    size, = struct.unpack('<Q', data[:8])
    found.append(event_pb2.Event.FromString(data[12:12 + size]))
    data = data[16 + size:]
  return found


def values(folder):
  """Returns {tag: (step, value)} of all summaries."""
  return {value.tag: (event.step, value) for event in events(folder)
          for value in event.summary.value}


@pytest.fixture
def opened(tmp_path):
  return tensorboard.TensorBoard().open(tmp_path, 0)


def test_numbers_are_scalars_in_groups(tmp_path, opened):
  opened.write(3, {'loss': 1.5, 'valid/loss': 2.5, 'batch': 'a1b2'})
  opened.close()
  found = values(tmp_path / 'tensorboard')
  assert {tag: (step, value.simple_value)
          for tag, (step, value) in found.items()} == {
              'train/loss': (3, 1.5), 'valid/loss': (3, 2.5)}


def test_a_text_is_shown_as_it_is(tmp_path, opened):
  opened.text(7, 'samples/0', 'a *b*\n c')
  opened.close()
  (tag, (step, value)), = values(tmp_path / 'tensorboard').items()
  assert (tag, step) == ('samples/0/text_summary', 7)
  assert value.tensor.string_val[0].decode() == '    a *b*\n     c'


def test_a_config_is_hyperparameters(tmp_path, opened):
  opened.describe({'optimizer.learning_rate': 0.1, 'model.scan': True,
                   'data.paths': ['a'], 'init': None})
  opened.close()
  raw = next((tmp_path / 'tensorboard').iterdir()).read_bytes()
  for part in (b'_hparams_/session_start_info', b'optimizer.learning_rate',
               b"['a']", b'valid/loss'):
    assert part in raw, part


def test_a_histogram_has_the_counts_between_its_edges(tmp_path, opened):
  counts, edges = np.histogram([0.0, 1.0, 1.2, 4.0], 2)
  opened.histogram(2, 'parameters/kernel', counts, edges)
  opened.close()
  _, value = values(tmp_path / 'tensorboard')['parameters/kernel']
  assert list(value.histo.bucket) == [3, 1]
  assert list(value.histo.bucket_limit) == [2.0, 4.0]
  assert (value.histo.min, value.histo.max, value.histo.num) == (0, 4, 4)


def test_a_run_that_continues_hides_later_events(tmp_path):
  tensorboard.TensorBoard().open(tmp_path, 20).close()
  starts = [event.step for event in events(tmp_path / 'tensorboard')
            if event.HasField('session_log')]
  assert starts == [21]


def test_a_run_continues_without_tensorboard_on_a_full_disk(tmp_path, caplog):
  with tracker.opened([tensorboard.TensorBoard()], tmp_path) as (out,):
    with faults.fill_disk(10):
      for step in range(200):
        out.write(step, {'loss': 1.0})
      out.close()
  assert caplog.text.count('the run continues without it') == 1


def test_a_module_is_hidden_inside_the_block(monkeypatch):
  monkeypatch.delitem(sys.modules, 'calendar', raising=False)
  with tensorboard._hidden('calendar'):
    with pytest.raises(ImportError):
      importlib.import_module('calendar')
    with tensorboard._hidden('pathlib'):  # In use, and so not hidden.
      import pathlib as same
  import calendar
  assert calendar.isleap(2028) and same is pathlib
