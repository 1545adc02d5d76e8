"""The watchdog ends a process that hangs and shows its stacks."""
import math
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from lmjax.core import errors
from lmjax.run import watchdog

ROOT = pathlib.Path(__file__).parents[2]


def start(body):
  source = ('import os, sys, threading, time\n'
            'from lmjax.run import watchdog\n' + textwrap.dedent(body))
  return subprocess.Popen(
      [sys.executable, '-c', source], cwd=ROOT, text=True,
      stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_hanging_process_ends_and_shows_its_stacks():
  with start("""
      def data_that_never_comes():
        threading.Event().wait()
      def background():
        time.sleep(60)
      threading.Thread(target=background, daemon=True).start()
      with watchdog.Watchdog(0.2) as dog:
        with dog.watching('step 1'):
          pass
        with dog.watching('evaluation at step 2'), dog.watching('batch 7'):
          data_that_never_comes()
      """) as process:
    _, err = process.communicate(timeout=20)
  assert process.returncode == 70
  first, rest = err.split('\n', 1)
  assert 'evaluation at step 2 > batch 7 has lasted longer than 0.2 s' in first
  assert 'step 1' not in first and '--watchdog_s' in first
  assert 'data_that_never_comes' in rest and 'background' in rest


@pytest.mark.slow
def test_many_short_watches_may_last_long_together():
  with start("""
      with watchdog.Watchdog(0.8) as dog:
        for step in range(45):
          with dog.watching(f'step {step}'), dog.watching('inside'):
            time.sleep(0.02)
        time.sleep(0.9)  # Nothing is being watched.
        try:
          with dog.watching('an error'):
            raise KeyError
        except KeyError:
          time.sleep(0.9)
      print('done')
      """) as process:
    out, err = process.communicate(timeout=20)
  assert (process.returncode, out, err) == (0, 'done\n', '')


def test_many_short_watches_do_not_hide_a_long_one():
  with start("""
      with watchdog.Watchdog(0.3) as dog, dog.watching('evaluation'):
        while True:
          with dog.watching('batch'):
            time.sleep(0.01)
      """) as process:
    _, err = process.communicate(timeout=20)
  assert process.returncode == 70
  assert 'ended this run: evaluation' in err


def test_work_that_ends_at_the_last_moment_is_accepted(monkeypatch):
  class Ended(dict):
    def copy(self):
      return {0: (-1e9, 'a step')}

  ends = []
  monkeypatch.setattr(watchdog, '_end', ends.append)
  dog = watchdog.Watchdog(1e3)
  dog._watched = Ended()
  with dog:
    time.sleep(0.05)
  assert not ends


def test_the_time_starts_with_the_watch():
  with start("""
      with watchdog.Watchdog(0.8) as dog:
        dog._stopped_s = 1e6  # Of before; it says nothing of what begins now.
        time.sleep(0.6)
        def late():
          with dog.watching('a thread'):
            time.sleep(0.4)
            print('in time', flush=True)
            time.sleep(60)
        threading.Thread(target=late).start()
        time.sleep(60)
      """) as process:
    out, err = process.communicate(timeout=20)
  assert process.returncode == 70 and out == 'in time\n'
  assert 'a thread has lasted longer' in err


def test_the_process_ends_even_if_stderr_blocks():
  with start("""
      os.set_blocking(2, False)
      try:
        while True:
          os.write(2, b'x' * 4096)
      except BlockingIOError:
        os.set_blocking(2, True)  # The pipe is full, and nobody reads.
      watchdog._TELL_S = 0.1
      with watchdog.Watchdog(0.1) as dog, dog.watching('it'):
        time.sleep(60)
      """) as process:
    assert process.wait(20) == 70


@pytest.mark.slow
def test_the_time_of_a_stopped_process_does_not_count():
  with start("""
      watchdog._STOPPED_S = 0.2
      with watchdog.Watchdog(0.8) as dog:
        with dog.watching('a step'):
          print('ready', flush=True)
          for _ in range(20):
            time.sleep(0.01)  # Works for 0.2 s, and is stopped for longer.
        print('done', flush=True)
        with dog.watching('a hang'):
          time.sleep(60)
      """) as process:
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.2)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=20)
  assert process.returncode == 70 and out == 'done\n'
  assert 'a hang has lasted' in err


def test_none_is_off_and_the_thread_ends():
  with watchdog.Watchdog(None) as dog, dog.watching('anything'):
    assert not [t for t in threading.enumerate() if t.name == 'watchdog']
  for seconds in 1e-3, math.inf:
    with watchdog.Watchdog(seconds) as dog:
      time.sleep(0.05)
      assert [t for t in threading.enumerate() if t.name == 'watchdog']
    assert not [t for t in threading.enumerate() if t.name == 'watchdog']


@pytest.mark.parametrize('seconds', [0, -1.0, math.nan])
def test_impossible_times_are_refused(seconds):
  with pytest.raises(errors.InputError, match=f'watchdog_s is {seconds}'):
    watchdog.Watchdog(seconds)
