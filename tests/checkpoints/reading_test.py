"""Damaged checkpoints are detected, named and skipped."""
import json
import logging
import os
import shutil
import threading

import numpy as np
import pytest

from lmjax.checkpoints import reading
from lmjax.checkpoints import writing
from lmjax.core import digests
from lmjax.core import errors
from lmjax.testing import faults

# TensorStore, where it cannot read on.
pytestmark = pytest.mark.filterwarnings(
    'ignore::pytest.PytestUnraisableExceptionWarning')


def items(step):
  return {'params': {'a': {'b': np.full((3, 5), step, np.float32)},
                     'c': np.arange(40, dtype=np.int32) + step},
          'rest': {'step': np.int32(step)[None]}}


def write(directory, *steps, scores=()):
  writer = writing.Writer(directory, 9, 0, 1)
  writer.open()
  for step, score in zip(steps, scores or [None] * len(steps)):
    writer.start(items(step), {'step': step, 'score': score, 'facts': {}})
    writer.join()
    writer.check()


def read(directory):
  def everything(step):
    about = reading.about(directory, step)
    return {name: reading.item(directory, step, name, about)
            for name in about['arrays']}
  return everything


def change(directory, step, edit):
  """Edits what a step says of itself, digest included."""
  path = directory / str(step) / 'about' / 'metadata'
  facts = json.loads(path.read_text())
  del facts['sha256']
  edit(facts)
  path.write_text(json.dumps(digests.signed(facts)))


@pytest.mark.slow
def test_every_fault_of_every_file(tmp_path):
  write(tmp_path, 1, 2)
  outcomes = {1: 0, 2: 0}
  for what in faults.damaged(tmp_path / '2', np.random.default_rng(0)):
    step, found, _ = reading.first_sound(tmp_path, 'latest', read(tmp_path))
    faults.assert_bitwise(found, items(step))
    outcomes[step] += 1
  assert sum(outcomes.values()) > 50 and min(outcomes.values()) > 10


def flips(directory, count):
  draw = np.random.default_rng(1)
  files = sorted(p for p in (directory / '2').rglob('*')
                 if p.is_file() and p.stat().st_size)
  for trial in range(count):
    path = files[trial % len(files)]
    sound = path.read_bytes()
    faults.flip_bit(path, draw)
    step, found, _ = reading.first_sound(directory, 'latest', read(directory))
    faults.assert_bitwise(found, items(step))
    path.write_bytes(sound)
    yield step


def test_flipped_bits(tmp_path):
  write(tmp_path, 1, 2)
  assert {*flips(tmp_path, 30)} == {1, 2}


@pytest.mark.slow
def test_500_flipped_bits(tmp_path):
  write(tmp_path, 1, 2)
  assert {*flips(tmp_path, 500)} == {1, 2}


@pytest.mark.parametrize('edit, words', [
    (lambda about: about['arrays']['params']['a/b'].update(sha256='0'),
     'array params/a/b: digest mismatch'),
    (lambda about: about['arrays']['params']['c'].update(dtype='uint32'),
     r'array params/c: uint32\[40\] became int32\[40\]'),
    (lambda about: about['arrays']['params'].pop('c'),
     'array params/c: was never saved'),
    (lambda about: about['arrays']['params'].update(d={}),
     'array params/d: missing'),
    (lambda about: about.update(step=7), 'it is step 7 under another name')])
def test_the_damaged_part_is_named(tmp_path, edit, words):
  write(tmp_path, 1)
  change(tmp_path, 1, edit)
  with pytest.raises(errors.InputError, match=rf'step 1 is damaged \({words}'):
    reading.first_sound(tmp_path, 'latest', read(tmp_path))


def test_a_wrong_description_is_detected(tmp_path):
  write(tmp_path, 1, scores=[2.5])
  path = tmp_path / '1' / 'about' / 'metadata'
  path.write_text(path.read_text().replace('2.5', '1.5'))
  with pytest.raises(reading.Damaged, match='not what was written'):
    reading.about(tmp_path, 1)
  path.write_text('[]')
  with pytest.raises(reading.Damaged, match='not what was written'):
    reading.about(tmp_path, 1)
  path.write_text('[' * 10**5)
  with pytest.raises(reading.Damaged, match='cannot be read'):
    reading.about(tmp_path, 1)


def test_the_warning_names_the_used_step_and_the_flag_to_fail(tmp_path, caplog):
  write(tmp_path, 1, 2, 3)
  for step in 2, 3:
    change(tmp_path, step, lambda about: about['arrays']['params']['c'].update(
        sha256='0'))
  with caplog.at_level(logging.WARNING):
    found = reading.first_sound(
        tmp_path, 'latest', read(tmp_path), hint=' To stop: --flag')
  why = 'array params/c: digest mismatch'
  assert (found[0], found[2]) == (1, ((3, why), (2, why)))
  assert caplog.messages == [
      f'step 3 is damaged ({why}); step 2 is damaged ({why}); using step 1. '
      '2 checkpoints skipped. To stop: --flag']
  with pytest.raises(errors.InputError, match=r'--on_damaged=older .*\[2, 1\]'):
    reading.first_sound(tmp_path, 'latest', read(tmp_path), 'fail')
  with pytest.raises(
      errors.InputError, match=r'step 2 is damaged .*there are .*\[1, 2, 3\]'):
    reading.first_sound(tmp_path, 2, read(tmp_path))


def test_a_memory_error_is_not_damage(tmp_path, monkeypatch):
  write(tmp_path, 1, 2)
  def full(*unused):
    raise MemoryError
  monkeypatch.setattr(digests, 'damage', full)
  with pytest.raises(MemoryError):
    reading.first_sound(tmp_path, 'latest', read(tmp_path))


def test_a_step_is_verified_in_parts(tmp_path, monkeypatch):
  write(tmp_path, 1)
  counts, parts = [], reading._parts
  monkeypatch.setattr(reading, '_TOGETHER', 100)
  monkeypatch.setattr(reading, '_parts', lambda saved: (
      counts.append(len(part)) or part for part in parts(saved)))
  reading.verify(tmp_path, 1)
  assert counts == [1, 1, 1]  # 60 and 160 bytes of params, 4 of the rest.
  monkeypatch.setattr(reading, '_TOGETHER', 220)
  reading.verify(tmp_path, 1)
  assert counts[3:] == [2, 1]


@pytest.mark.parametrize('edit, words', [
    (lambda arrays: arrays['params']['a/b'].update(sha256='0'),
     'array params/a/b: digest mismatch'),
    (lambda arrays: arrays['params'].pop('c'),
     'array params/c: was never saved'),
    (lambda arrays: arrays['params'].update(d=arrays['params']['c']),
     r'array params/d: int32\[40\] became float64\[0\]')])
def test_verifying_names_the_damaged_part(tmp_path, edit, words):
  write(tmp_path, 1)
  change(tmp_path, 1, lambda about: edit(about['arrays']))
  with pytest.raises(reading.Damaged, match=words):
    reading.verify(tmp_path, 1)


def retained(directory, times):
  """Returns a reader before which retention replaces the step, `times` times.
  """
  def reader(step):
    if len(asked) < times:
      write(directory, step + 1)
      shutil.rmtree(directory / str(step))
    asked.append(step)
    return read(directory)(step)
  asked = []
  return reader, asked


@pytest.mark.parametrize('which', ['latest', 'best'])
def test_a_step_that_is_deleted_meanwhile_is_not_damaged(
    tmp_path, caplog, which):
  write(tmp_path, 1)
  reader, asked = retained(tmp_path, 3)
  with caplog.at_level(logging.WARNING, 'lmjax'):
    number, found, skipped = reading.first_sound(tmp_path, which, reader)
  assert (number, skipped) == (4, ()) and asked == [1, 2, 3, 4]
  faults.assert_bitwise(found, items(4))
  assert not caplog.messages


def test_a_step_that_was_asked_for_and_is_deleted_is_gone(tmp_path):
  write(tmp_path, 1)
  with pytest.raises(errors.InputError, match=r'no step 1 .*one of \[2\]'):
    reading.first_sound(tmp_path, 1, retained(tmp_path, 1)[0])


def test_a_run_that_deletes_faster_than_one_can_read_is_told(
    tmp_path, monkeypatch):
  monkeypatch.setattr(reading, '_DELETED', 3)
  write(tmp_path, 1)
  with pytest.raises(errors.InputError, match='has deleted 3 steps .*keep_last'):
    reading.first_sound(tmp_path, 'latest', retained(tmp_path, 9)[0])


def test_links_are_checked_while_files_vanish(tmp_path, monkeypatch):
  write(tmp_path, 1)
  monkeypatch.setattr(reading.safe_paths, 'check_tree', lambda *_: os.lstat(
      tmp_path / 'gone'))
  with pytest.raises(reading.Damaged, match='cannot be read'):
    reading.about(tmp_path, 1)


def false_alarms(directory, restores):
  """Reads beside a thread that saves and deletes; returns who was skipped."""
  write(directory, 1)
  stop, skipped = threading.Event(), []

  def save():
    writer = writing.Writer(directory, 1, 0, 1)
    for step in range(2, 10**6):
      if stop.is_set():
        return
      writer.start(items(step), {'step': step, 'score': None, 'facts': {}})
      writer.join()

  thread = threading.Thread(target=save)
  thread.start()
  try:
    for _ in range(restores):
      step, found, wrong = reading.first_sound(
          directory, 'latest', read(directory))
      faults.assert_bitwise(found, items(step))
      skipped += wrong
  finally:
    stop.set()
    thread.join()
  assert reading.steps(directory)[0] > 2
  return skipped


@pytest.mark.slow
def test_no_false_alarm_in_1000_restores(tmp_path):
  assert not false_alarms(tmp_path, 1000)


def test_best_comes_first(tmp_path):
  write(tmp_path, 1, 2, 3, 4, scores=[2.0, 1.0, None, 2.0])
  assert reading.by_score(tmp_path) == [
      (1.0, 2), (2.0, 4), (2.0, 1), (np.inf, 3)]
  change(tmp_path, 2, lambda about: about['arrays']['rest'].pop('step'))
  assert reading.first_sound(tmp_path, 'best', read(tmp_path))[0] == 4
  (tmp_path / '4' / 'about' / 'metadata').write_text('{}')
  assert reading.by_score(tmp_path)[-1] == (np.inf, 3)
  number, _, skipped = reading.first_sound(tmp_path, 'best', read(tmp_path))
  assert number == 1 and [step for step, _ in skipped] == [4, 2]


def test_only_numbers_are_steps(tmp_path):
  assert reading.steps(tmp_path / 'nowhere') == []
  for name in ('3', '12', '7.saving.0', '8.deleted', 'damaged'):
    (tmp_path / name).mkdir()
  assert reading.steps(tmp_path) == [3, 12]


def test_a_step_may_be_named_as_on_the_command_line(tmp_path):
  write(tmp_path, 8, 16)
  found = lambda step: reading.first_sound(tmp_path, step, int)[0]
  assert (found('8'), found(8), found('latest')) == (8, 8, 16)
  with pytest.raises(errors.InputError, match=r"step '9' .* one of \[8, 16\]"):
    found('9')
