"""A step is on disk completely or not at all, and failures are reported."""
import logging
import os
import pathlib
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from lmjax.checkpoints import reading
from lmjax.checkpoints import store
from lmjax.checkpoints import writing
from lmjax.core import errors
from lmjax.core.files import durable
from lmjax.testing import faults
from lmjax.testing import power_cut

ROOT = pathlib.Path(__file__).parents[2]
ITEMS = {'params': {'a': np.zeros((200, 200), np.float32)}}


def make(directory, keep_last=9, keep_best=0, max_failed_saves=2, logs=()):
  writer = writing.Writer(
      directory, keep_last, keep_best, max_failed_saves, logs)
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


def test_a_step_has_the_versions_of_the_code(tmp_path):
  write(make(tmp_path), 1)
  code = reading.about(tmp_path, 1)['code']
  assert {'jax', 'orbax-checkpoint'} <= code['versions'].keys()


def test_only_the_remains_of_a_kill_are_removed(tmp_path):
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


def test_a_full_disk_affects_only_one_step(tmp_path, caplog):
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
      writing.FailedSaves, match=r'last save .*Complete steps: \[1\]'):
    writer.check()
  write(writer, 3)
  writer.check()
  assert reading.steps(tmp_path) == [1, 3]


def test_too_many_consecutive_failures_raise(tmp_path):
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


ODD_NAMES = [
    'lr=[1,2]', '[', 'a*b', 'a?b', 'a\\b', 'gs:', 'x' * 255,
    '-~{x} it\'s a "q"\n\t%20#|&;$HOME,\x01日本', os.fsdecode(b'\xff')]


def test_every_name_that_a_file_system_allows_can_be_used(tmp_path):
  (tmp_path / 'axb' / 'checkpoints').mkdir(parents=True)  # Matches a*b, a?b.
  for name in ODD_NAMES:
    directory = tmp_path / name / 'checkpoints'
    writer = make(directory)
    write(writer, 1)
    writer.check()
    about = reading.about(directory, 1)
    faults.assert_bitwise(
        reading.item(directory, 1, 'params', about), ITEMS['params'])
    assert os.listdir(directory) == ['1']


def test_a_step_that_was_not_written_right_is_a_failed_save(
    tmp_path, monkeypatch):
  import orbax.checkpoint as ocp
  writer, save = make(tmp_path), ocp.Checkpointer.save
  write(writer, 1)

  def partly(self, path, args):
    save(self, path, args=args)
    data, = (p for p in pathlib.Path(path).rglob('d/*')
             if p.stat().st_size > 10_000)
    faults.flip_bit(data, np.random.default_rng(0))
  monkeypatch.setattr(ocp.Checkpointer, 'save', partly)
  write(writer, 2)
  with pytest.raises(writing.FailedSaves, match='array params/a: digest mism'):
    writer.check()
  assert os.listdir(tmp_path) == ['1']


def test_a_step_is_on_disk_before_older_ones_are_deleted(tmp_path, monkeypatch):
  log, steps = tmp_path / 'metrics.jsonl', tmp_path / 'steps'
  log.touch()
  writer = make(steps, keep_last=1, logs=(log, tmp_path / 'not there'))
  write(writer, 1)
  events = []

  def note(name):
    function = getattr(durable, name)
    def called(*paths):
      events.append(f'{name} {pathlib.Path(paths[0]).relative_to(tmp_path)}')
      function(*paths)
    monkeypatch.setattr(durable, name, called)
  for name in 'sync_tree', 'rename', 'remove_tree':
    note(name)
  sync = durable.sync
  monkeypatch.setattr(durable, 'sync', lambda path: (
      events.append('sync metrics') if path == log else None, sync(path)))
  write(writer, 2)
  assert events == [
      'sync_tree steps/2.saving.1', 'sync metrics', 'rename steps/2.saving.1/2',
      'remove_tree steps/1', 'rename steps/1']


def cuts(directory, steps, draws=0):
  """Returns what power cuts leave of saves that each replace the step before.

  A note has the step whose save has returned, or 0, and all that one can see.
  """
  saved = [0]
  with power_cut.recorded(directory, lambda: (
      saved[-1], reading.steps(directory)), draws) as recording:
    writer = make(directory, keep_last=1)
    for step in steps:
      write(writer, step)
      saved.append(step)
  writer.check()
  return recording.cuts


def check_cuts(found, folder):
  """Checks that cuts leave the newest step or, while it appears, the former.
  """
  for number, cut in enumerate(found):
    saved, seen = cut.note
    if not saved:
      continue
    left = folder / str(number)
    cut.write(left)
    step, params, _ = reading.first_sound(
        left, 'latest', lambda step, left=left: reading.item(
            left, step, 'params', reading.about(left, step)))
    assert step in (saved, max(seen)), cut
    faults.assert_bitwise(params, ITEMS['params'])


def test_a_power_cut_leaves_the_newest_step_or_the_one_before(tmp_path):
  (tmp_path / 'run').mkdir()
  found = cuts(tmp_path / 'run', (1, 2))
  assert len(found) > 50 and found[-1].note == (2, [2])
  check_cuts(found, tmp_path)


@pytest.mark.slow
def test_many_power_cuts_leave_the_newest_step_or_the_one_before(tmp_path):
  (tmp_path / 'run').mkdir()
  found = cuts(tmp_path / 'run', range(1, 6), draws=3)
  assert len(found) > 400
  check_cuts(found, tmp_path)


def test_an_impossible_directory_is_refused(tmp_path):
  (tmp_path / 'file').touch()
  with pytest.raises(errors.InputError, match='cannot be kept in'):
    make(tmp_path / 'file')


def test_hashing_does_not_block_save(tmp_path, monkeypatch):
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


PROGRAM = """
import os, signal, sys, time
import jax
import numpy as np
from lmjax.checkpoints import store
from lmjax.testing import faults
from lmjax.training import step

# A shell ignores SIGINT in what it starts in the background, such as tests.
signal.signal(signal.SIGINT, signal.default_int_handler)

def make(n):
  params = {'w': np.full((400, 400), n, np.float32)}
  return step.TrainState(np.int32(n), params, (), jax.random.key(0))

def two_saves(saved):
  saved.save(1, make(1))
  saved.save(2, make(2))
"""
WAYS_OUT = {  # How a process ends: the program, its exit code.
    'end': ('', 0), 'error': ('raise ValueError', 1), 'exit': ('sys.exit(0)', 0),
    'interrupt': ('os.kill(os.getpid(), signal.SIGINT); time.sleep(9)', -2)}
SAVES_FOR_EVER = """
import orbax.checkpoint  # Or the first save would take too long to be hit.
with store.Checkpoints(sys.argv[1]) as saved:
  found, _ = saved.resume(make(0))
  n = int(found.step)
  faults.assert_bitwise(found, make(n))
  os.write(1, b'%d ' % n)
  while True:
    n += 1
    saved.save(n, make(n))
    os.write(1, b'%d ' % (n - 1))
"""


def start(program, *args):
  return subprocess.Popen(
      [sys.executable, '-c', PROGRAM + program, *map(str, args)],
      stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT,
      env={'PATH': '/usr/bin:/bin', 'JAX_PLATFORMS': 'cpu'})


def saved_twice(process, path, code):
  """Checks how a process ended, and that both of its saves are whole."""
  told = process.communicate(timeout=120)[1].decode()
  assert process.returncode == code, told
  assert reading.steps(path) == [1, 2], told
  number, params = store.restore_params(path, 'latest')
  assert number == 2 and np.all(params['w'] == 2)


def leaving(way, path):
  return start('with store.Checkpoints(sys.argv[1]) as saved:\n'
               f'  two_saves(saved)\n  {WAYS_OUT[way][0]}', path)


@pytest.mark.slow
def test_an_exit_waits_for_the_last_save(tmp_path):
  saved_twice(leaving('exit', tmp_path), tmp_path, 0)


@pytest.mark.slow
def test_every_way_out_waits_for_the_last_save(tmp_path):
  processes = {way: leaving(way, tmp_path / way) for way in WAYS_OUT}
  processes['not even closed'] = start(
      'two_saves(store.Checkpoints(sys.argv[1]))', tmp_path / 'not even closed')
  for way, process in processes.items():
    _, code = WAYS_OUT.get(way, ('', 0))
    saved_twice(process, tmp_path / way, code)


def survives_kills(directory, kills):
  """Kills a process that saves, again and again; returns what was left."""
  draw, known, left = np.random.default_rng(kills), 0, []
  for _ in range(kills):
    with start(SAVES_FOR_EVER, directory) as process:
      first = process.stdout.read(2)  # It has read what there is.
      time.sleep(draw.uniform(0, 0.3))
      process.kill()
      numbers = [int(n) for n in (first + process.stdout.read()).split()]
      assert numbers, process.stderr.read().decode()
    assert numbers[0] >= known  # What was on disk for certain.
    known = numbers[-1]
    left += [path.name for path in directory.iterdir()]
  write(make(directory), known + 9)
  assert all(path.name.isdigit() for path in directory.iterdir())
  assert reading.steps(directory)[-1] == known + 9
  return left


@pytest.mark.slow
def test_killed_while_it_saves(tmp_path):
  survives_kills(tmp_path, 2)


@pytest.mark.exhaustive
def test_killed_thirty_times_while_it_saves(tmp_path):
  left = survives_kills(tmp_path, 30)
  assert any('saving' in name for name in left)
