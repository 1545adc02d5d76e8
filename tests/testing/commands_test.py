"""Commands are watched, signalled, and leave nothing behind."""
import os
import signal
import sys
import time

import pytest

from lmjax.testing import commands
from lmjax.testing import faults

SLEEP = [sys.executable, '-c', 'print("ready", flush=True); import time; '
         'time.sleep(60)']


def alive(pid):
  """Returns whether a process runs; one that waits to be fetched does not."""
  try:
    with open(f'/proc/{pid}/stat') as file:
      return file.read().rpartition(')')[2].split()[0] not in 'ZX'
  except (FileNotFoundError, ProcessLookupError):
    return False


def test_a_command_is_watched_and_signalled():
  with commands.started(SLEEP) as process:
    assert process.wait_until(lambda: 'ready' in process.output(), 20)
    assert not process.ended()
    process.send(signal.SIGTERM)
    ended = process.wait(20)
  assert (ended.returncode, ended.output) == (-signal.SIGTERM, 'ready\n')
  assert ended.seconds < 20


@pytest.mark.slow
def test_a_child_that_goes_on_printing_does_not_hold_up_the_end():
  child = ('import subprocess; subprocess.Popen(["sleep", "60"]); '
           'print("over", flush=True)')
  with commands.started([sys.executable, '-c', child]) as process:
    ended = process.wait(20)
  assert (ended.returncode, ended.output) == (0, 'over\n')


def test_a_full_disk_does_not_silence_a_command():
  talk = 'import sys; sys.stdout.write("x" * 9000); sys.exit("The end.")'
  with faults.fill_disk(1):
    with commands.started([sys.executable, '-c', talk]) as process:
      ended = process.wait(20)
  assert ended.output.count('x') == 9000 and 'The end.' in ended.output


def test_no_process_outlives_the_block():
  child = ('import subprocess, sys; '
           'p = subprocess.Popen(["sleep", "60"]); print(p.pid, flush=True); '
           'p.wait()')
  with commands.started([sys.executable, '-c', child]) as process:
    process.wait_until(lambda: process.output().endswith('\n'), 20)
    pids = process.pid, int(process.output())
  deadline = time.monotonic() + 20
  while any(map(alive, pids)):
    assert time.monotonic() < deadline
    time.sleep(0.01)


def test_wait_until_is_false_if_the_command_ends_first():
  with commands.started([sys.executable, '-c', 'print(7); exit(3)']) as p:
    assert not p.wait_until(lambda: False, 20)
    p.send(signal.SIGKILL)  # Nobody is there: no error.
    ended = p.wait()
  assert (ended.returncode, ended.output) == (3, '7\n')


def test_waiting_too_long_is_an_error_with_the_output():
  with commands.started(SLEEP) as process:
    process.wait_until(lambda: process.output(), 20)
    with pytest.raises(AssertionError, match='Neither due nor ended.*\nready'):
      process.wait_until(lambda: False, 0.05)
    with pytest.raises(AssertionError, match='Not ended after 0.05 s:\nready'):
      process.wait(0.05)


@pytest.mark.parametrize('text, step', [
    ('', 0), ('{"step": 1}\n{"step": 2}\n', 2), ('{"step": 1}\n{"step": 2', 1),
    ('{"step": 1}\n{"other": 2}\nnot JSON\n[3]\n', 1), ('{"step": 4}', 0)])
def test_the_last_step_is_from_the_last_complete_line(tmp_path, text, step):
  (tmp_path / 'rows').write_text(text)
  assert commands.last_step(tmp_path / 'rows') == step


def test_the_last_step_of_a_long_or_absent_file(tmp_path):
  assert commands.last_step(tmp_path / 'rows') == 0
  (tmp_path / 'rows').write_text(
      ''.join(f'{{"step": {i}}}\n' for i in range(9000)))
  assert os.stat(tmp_path / 'rows').st_size > 1 << 16
  assert commands.last_step(tmp_path / 'rows') == 8999
