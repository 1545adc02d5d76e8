"""Real signals, sent to small scripts that do not import JAX."""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from lmjax.run import signals
from lmjax.testing import power_cut

ROOT = pathlib.Path(__file__).parents[2]
BOTH = [signal.SIGTERM, signal.SIGINT]
# Never comes back: a second lock of a mutex, outside the interpreter's lock.
HANG_IN_C = """
def hang_in_c():
  import ctypes
  libc, mutex = ctypes.CDLL(None), ctypes.create_string_buffer(128)
  libc.pthread_mutex_lock(mutex)
  libc.pthread_mutex_lock(mutex)
"""


@contextlib.contextmanager
def script(body, *, path=None):
  """Runs a script that prints 'ready'; yields the process from then on."""
  source = ('import os, signal, sys, time\n'
            'from lmjax.run import signals\n'
            'def say(*x): print(*x, flush=True)\n'
            + HANG_IN_C + textwrap.dedent(body))
  with subprocess.Popen(
      [sys.executable, '-c', source, *([] if path is None else [path])],
      cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
      text=True) as process:
    try:
      assert process.stdout.readline() == 'ready\n', process.stderr.read()
      yield process
    finally:
      process.kill()


def ended(process):
  """Returns (exit code, stdout, stderr) of a process that is about to end."""
  out, err = process.communicate(timeout=20)
  return process.returncode, out, err


POLLS = """
with signals.watched() as interrupts:
  say('ready')
  while not interrupts.requested():
    time.sleep(0.01)
  say(interrupts.requested())
  sys.exit(signals.EXIT_SAVED)
"""


@pytest.mark.parametrize('number', BOTH, ids=signals.NAMES.get)
def test_the_first_signal_sets_a_flag(number):
  with script(POLLS) as process:
    process.send_signal(number)
    code, out, err = ended(process)
  name = signals.NAMES[number]
  assert (code, out) == (75, f'{name}\n')
  line, = err.splitlines()
  assert line.startswith(f'{name}: ') and 'saved' in line and '75' in line
  assert 'second signal' in line


def test_signals_are_seen_while_the_main_thread_is_in_c():
  """No handler runs there: XLA compiles, or Orbax waits for its threads."""
  with script("""
      import threading
      with signals.watched() as interrupts:
        def look():
          say('ready')
          while not interrupts.requested():
            time.sleep(0.01)
          say(interrupts.requested())
        threading.Thread(target=look, daemon=True).start()
        hang_in_c()
      """) as process:
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == 'SIGTERM\n'
    assert process.stderr.readline().startswith('SIGTERM: ')
    time.sleep(signals.SAME_S)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert ended(process)[0] == 128 + signal.SIGINT


def test_two_signals_of_one_request_count_once():
  with script(POLLS.replace(
      'say(interrupts.requested())', 'time.sleep(0.1)')) as process:
    for _ in range(3):  # As timeout(1) and launchers do.
      process.send_signal(signal.SIGTERM)
      time.sleep(0.02)
    assert ended(process)[0] == 75


def test_the_second_signal_works_if_stderr_is_not_read():
  with script("""
      os.set_blocking(2, False)
      try:
        while True:
          os.write(2, b'x' * 4096)
      except BlockingIOError:
        os.set_blocking(2, True)  # The pipe is full.
      with signals.watched() as interrupts:
        say('ready')
        time.sleep(60)
      """) as process:
    process.send_signal(signal.SIGTERM)
    time.sleep(signals.SAME_S + 0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM


def test_handlers_and_descriptor_are_restored():
  def state():
    descriptor = signal.set_wakeup_fd(-1)
    signal.set_wakeup_fd(descriptor)
    return [signal.getsignal(number) for number in BOTH], descriptor

  before, threads = state(), threading.active_count()
  with pytest.raises(KeyError):
    with signals.watched():
      assert state() != before
      raise KeyError
  assert state() == before and threading.active_count() == threads
  with script("""
      with signals.watched():
        pass
      say('ready')
      time.sleep(60)
      """) as process:
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == -signal.SIGTERM


def test_other_signals_are_forwarded():
  """A loop of asyncio around the run, as in a notebook."""
  with script("""
      import asyncio
      async def main():
        heard = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(
            signal.SIGUSR1, heard.set)
        with signals.watched() as interrupts:
          say('ready')
          await asyncio.wait_for(heard.wait(), 20)
          say('heard', interrupts.requested())
      asyncio.run(main())
      """) as process:
    process.send_signal(signal.SIGUSR1)
    assert ended(process)[:2] == (0, 'heard None\n')


def test_an_interactive_session_outlives_the_second_ctrl_c():
  with script("""
      sys.ps1 = '>>> '
      with signals.watched() as interrupts:
        try:
          say('ready')
          while True:
            time.sleep(0.05)
            if interrupts.requested():
              say(interrupts.requested())
        except KeyboardInterrupt:
          say('still here')
      """) as process:
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == 'SIGINT\n'
    time.sleep(signals.SAME_S)
    process.send_signal(signal.SIGINT)
    code, out, _ = ended(process)
  assert code == 0 and out.endswith('still here\n')


def test_nested_watches_see_the_same_signal(tmp_path):
  with script("""
      with signals.watched() as outer:
        with signals.watched(sys.argv[1]) as inner:
          say('ready')
          while not inner.requested():
            time.sleep(0.01)
        say(inner.requested(), outer.requested())
      """, path=str(tmp_path / 'STOP')) as process:
    process.send_signal(signal.SIGTERM)
    assert ended(process)[:2] == (0, 'SIGTERM SIGTERM\n')


def test_off_the_main_thread_signals_keep_their_meaning(tmp_path):
  stop, seen = tmp_path / 'STOP', []
  before = signal.getsignal(signal.SIGINT)

  def run():
    with signals.watched(stop) as interrupts:
      seen.append(interrupts.requested())
      seen.append(signal.getsignal(signal.SIGINT))
      stop.touch()
      seen.append(interrupts.requested())

  thread = threading.Thread(target=run)
  thread.start()
  thread.join()
  assert seen == [None, before, 'STOP']


def test_a_forked_child_does_not_affect_its_parent():
  with script("""
      with signals.watched() as interrupts:
        say('ready')
        child = os.fork()
        if not child:
          say(os.getpid())
          time.sleep(60)
          os._exit(0)
        say(os.waitpid(child, 0)[1], interrupts.requested())
      """) as process:
    os.kill(int(process.stdout.readline()), signal.SIGTERM)
    assert ended(process)[:2] == (0, f'{int(signal.SIGTERM)} None\n')


ENDS = """
signals._END_S = 0.5
with signals.ending():
  try:
    say('ready')
    {work}
  finally:
    say('cleaned')
"""
SLEEP = 'for i in range(1000): time.sleep(0.01)'


def test_sigterm_ends_where_nothing_is_to_be_saved():
  with script(ENDS.format(work=SLEEP)) as process:
    process.send_signal(signal.SIGTERM)
    code, out, err = ended(process)
  assert (code, out) == (signals.EXIT_SAVED, 'cleaned\n')
  assert err.startswith('SIGTERM: no step is being made') and err.count('\n') == 1


def test_sigterm_ends_while_the_main_thread_is_in_c():
  with script(f"""
signals._Receiver._handle = lambda *unused: None  # Runs after the C code.
{ENDS.format(work=SLEEP)}""") as process:
    process.send_signal(signal.SIGTERM)
    code, out, err = ended(process)
  assert (code, out) == (signals.EXIT_SAVED, '')
  assert err.startswith('SIGTERM: no step is being made')


def test_ctrl_c_interrupts_where_nothing_is_to_be_saved():
  with script(ENDS.format(work=SLEEP)) as process:
    process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
  assert (code, out) == (-signal.SIGINT, 'cleaned\n')
  assert err.endswith('KeyboardInterrupt\n')


def test_a_handler_of_the_users_own_keeps_its_meaning():
  with script(f"""
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(3))
{ENDS.format(work=SLEEP)}""") as process:
    process.send_signal(signal.SIGTERM)
    assert ended(process) == (3, 'cleaned\n', '')


def test_sigterm_is_a_request_only_while_it_is_polled():
  with script("""
with signals.ending():
  with signals.watched() as interrupts:
    say('ready')
    while not interrupts.requested():
      time.sleep(0.01)
    say(interrupts.requested())
with signals.ending():
  with signals.watched():
    pass
  os.kill(os.getpid(), signal.SIGTERM)
  time.sleep(10)
""") as process:
    process.send_signal(signal.SIGTERM)
    code, out, err = ended(process)
  assert (code, out) == (signals.EXIT_SAVED, 'SIGTERM\n')
  first, second = err.splitlines()
  assert 'saved at the current step' in first and 'nothing to save' in second


def test_off_the_main_thread_sigterm_keeps_its_meaning():
  with script("""
import threading
def work():
  with signals.ending():
    say('ready')
    time.sleep(10)
threading.Thread(target=work, daemon=True).start()
time.sleep(10)
""") as process:
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == -signal.SIGTERM


def test_the_stop_file(tmp_path, capsys):
  stop = tmp_path / 'a run' / 'STOP'
  stop.parent.mkdir()
  with signals.watched(str(stop)) as interrupts:
    assert interrupts.requested() is None
    interrupts.obeyed()  # Nothing to remove, and nothing to say.
    assert not capsys.readouterr().err
    stop.touch()
    assert interrupts.requested() == 'STOP'
    interrupts.obeyed()
    assert not stop.exists() and interrupts.requested() is None
    stop.mkdir()
    interrupts.obeyed()
    assert str(stop) in capsys.readouterr().err
  with signals.watched() as interrupts:
    interrupts.obeyed()
    assert interrupts.requested() is None


def test_asking_takes_no_time(tmp_path):
  """No thread, lock or wait is behind it: a million steps ask in seconds."""
  with signals.watched(tmp_path / 'STOP') as interrupts:
    start = time.process_time()
    for _ in range(1000):
      interrupts.requested()
    assert time.process_time() - start < 0.1


def test_a_file_that_was_obeyed_does_not_come_back_after_a_power_cut(tmp_path):
  (tmp_path / 'STOP').touch()
  with power_cut.recorded(tmp_path) as recording:
    with signals.watched(tmp_path / 'STOP') as interrupts:
      interrupts.obeyed()
  assert {'STOP': b''} in [cut.files for cut in recording.cuts]
  assert all(not cut.files for cut in recording.cuts
             if cut.when == 'at the end')
