"""Runs are executed one after another; signals reach the one that runs."""
import dataclasses
import os
import pathlib
import signal
import sys
import threading
import time

import pytest

from lmjax.recipes.comparing import running
from lmjax.recipes.comparing import sweep


@dataclasses.dataclass(frozen=True)
class Point:
  name: str
  done: bool = False

  def finished(self):
    return self.done


def python(code):
  return [sys.executable, '-c', code]


def test_finished_runs_are_skipped_and_failures_do_not_stop_others(capfd):
  done, bad, good = Point('done', True), Point('bad'), Point('good')
  codes = running.run([done, bad, good], lambda point: python(
      f'print("now", {point.name!r}); raise SystemExit({2 * (point is bad)})'))
  assert codes == {'done': 0, 'bad': 2, 'good': 0}
  printed = capfd.readouterr()
  assert 'now done' not in printed.out and 'now good' in printed.out
  assert '=== 1/3 done: finished already' in printed.out
  assert printed.err == 'bad failed with exit code 2; the sweep goes on.\n'


def test_a_run_that_was_stopped_ends_the_sweep_with_its_code(capfd):
  with pytest.raises(SystemExit) as ended:
    running.run([Point('a'), Point('b')],
                lambda point: python('raise SystemExit(75)'))
  assert ended.value.code == 75
  assert 'the same command continues it' in capfd.readouterr().err


def test_a_run_that_was_killed_has_the_code_of_a_shell():
  assert running.execute(python(
      'import os, signal; os.kill(os.getpid(), signal.SIGKILL)')) == (
          128 + signal.SIGKILL, False)


@pytest.mark.parametrize('sent, received', [
    (signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGINT),
    (signal.SIGHUP, signal.SIGTERM)])
def test_signals_reach_the_run_once_and_end_the_sweep(
    sent, received, tmp_path):
  before, ready = signal.getsignal(sent), tmp_path / 'ready'
  code = f'''
import pathlib, signal, sys, time
got = []
for number in signal.SIGTERM, signal.SIGINT:
  signal.signal(number, lambda number, _: got.append(number))
pathlib.Path({str(ready)!r}).touch()
for _ in range(2000):
  time.sleep(0.01)
  if got:
    break
time.sleep(0.1)
sys.exit(75 if got == [{int(received)}] else 1)
'''
  def send():
    while not ready.exists():
      time.sleep(0.01)
    os.kill(os.getpid(), sent)
  thread = threading.Thread(target=send)
  thread.start()
  assert running.execute(python(code)) == (75, True)
  thread.join()
  assert signal.getsignal(sent) == before


def test_a_run_that_ends_well_in_spite_of_a_signal_ends_the_sweep(tmp_path):
  code = (f'import os, signal, time; '
          f'signal.signal(signal.SIGTERM, signal.SIG_IGN); '
          f'os.kill({os.getpid()}, signal.SIGTERM); time.sleep(0.2)')
  assert running.execute(python(code)) == (128 + signal.SIGTERM, True)


def test_the_interface_is_that_of_a_point():
  point = sweep.Point({}, 0, {}, None, pathlib.Path('x/name'))
  assert point.name == 'name' and not point.finished()
