"""The lock of a run directory, with real processes that do not import JAX."""
import contextlib
import errno
import fcntl
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import textwrap
import time

import pytest

from lmjax.core import errors
from lmjax.run import lock

ROOT = pathlib.Path(__file__).parents[2]
HOLDS = """
with lock.held(sys.argv[1]) as held:
  say('held')
  time.sleep(60)
"""
TRIES = """
try:
  with lock.held(sys.argv[1], takeover='takeover' in sys.argv):
    say('held')
    sys.stdin.read()
except errors.InputError as error:
  say(error)
"""


def start(body, *args):
  """Starts a script; `sys.argv[1]` is its run directory."""
  source = ('import os, sys, time\n'
            'from lmjax.core import errors\n'
            'from lmjax.run import lock\n'
            'def say(*x): print(*x, flush=True)\n' + textwrap.dedent(body))
  return subprocess.Popen(
      [sys.executable, '-c', source, *map(str, args)], cwd=ROOT, text=True,
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@contextlib.contextmanager
def holder(workdir, body=HOLDS):
  """A process that holds the lock."""
  with start(body, workdir) as process:
    try:
      assert process.stdout.readline() == 'held\n', process.stderr.read()
      yield process
    finally:
      process.kill()


def fields(workdir):
  return json.loads((workdir / 'LOCK').read_text())


def leave(workdir, **changed):
  """Leaves the file of a process that has ended without removing it."""
  gone = subprocess.Popen(['true'])
  gone.wait()
  (workdir / 'LOCK').write_text(json.dumps({
      'pid': gone.pid, 'host': socket.gethostname(),
      'started': '2026-02-03T04:05:06.789012+00:00'} | changed))
  return gone.pid


def test_the_file_names_the_holder_and_is_removed(tmp_path):
  workdir = tmp_path / 'runs' / 'a run'
  with lock.held(workdir) as held:
    assert fields(workdir)['pid'] == os.getpid()
    assert fields(workdir)['host'] == socket.gethostname()
    assert fields(workdir)['started'].endswith('+00:00')
    held.check()
  assert not list(tmp_path.iterdir())  # Nothing was written to it.
  with lock.held(workdir):
    (workdir / 'config.json').touch()
  assert [p.name for p in workdir.iterdir()] == ['config.json']


def test_existing_directories_are_kept(tmp_path):
  (tmp_path / 'runs').mkdir()
  with lock.held(tmp_path / 'runs' / 'a'):
    pass
  with lock.held(tmp_path / 'runs'):
    pass
  assert [p.name for p in tmp_path.iterdir()] == ['runs']
  assert not list((tmp_path / 'runs').iterdir())


def test_the_lock_is_released_after_an_error(tmp_path):
  with pytest.raises(KeyError):
    with lock.held(tmp_path):
      raise KeyError
  with lock.held(tmp_path):
    pass


def test_a_second_process_is_refused_and_changes_nothing(tmp_path):
  with holder(tmp_path) as process:
    before = os.stat(tmp_path), os.stat(tmp_path / 'LOCK'), fields(tmp_path)
    began = time.monotonic()
    with start(TRIES, tmp_path) as second:
      out, err = second.communicate(timeout=20)
    assert time.monotonic() - began < 2
    started = fields(tmp_path)['started'].replace('T', ' ').partition('.')[0]
    assert out.strip() == (
        f'run dir is in use by pid {process.pid} on host '
        f'{socket.gethostname()} since {started} UTC ({tmp_path}/LOCK). Use '
        'another --workdir, or --takeover if that process is gone.')
    assert not err
    after = os.stat(tmp_path), os.stat(tmp_path / 'LOCK'), fields(tmp_path)
    assert [s.st_mtime_ns for s in after[:2]] == [
        s.st_mtime_ns for s in before[:2]]
    assert after[2] == before[2]


def test_another_path_to_the_same_directory(tmp_path):
  real, link = tmp_path / 'a run', tmp_path / 'link to it'
  real.mkdir()
  link.symlink_to(real)
  with lock.held(link) as held:
    held.check()
    with pytest.raises(errors.InputError, match='in use by pid'):
      with lock.held(real):
        pass
    with pytest.raises(errors.InputError, match='in use by pid'):
      with lock.held(os.path.relpath(real)):
        pass
    held.check()
  assert link.is_symlink() and not list(real.iterdir())


def test_the_lock_of_a_killed_process_is_reclaimed(tmp_path, capsys):
  with holder(tmp_path) as process:
    process.kill()
  assert fields(tmp_path)['pid'] == process.pid
  with lock.held(tmp_path) as held:
    line, = capsys.readouterr().err.splitlines()
    assert re.search(f'reclaimed from pid {process.pid} on .* gone', line)
    assert fields(tmp_path)['pid'] == os.getpid()
    held.check()
  assert not list(tmp_path.iterdir())


def test_a_child_that_outlives_the_holder_does_not_hold(tmp_path):
  with holder(tmp_path, """
      with lock.held(sys.argv[1]):
        child = os.fork()
        if child:
          say('held')
          say(child)
        time.sleep(60)
      """) as process:
    child = int(process.stdout.readline())
    process.kill()
    process.wait()
    try:
      with lock.held(tmp_path):
        pass
    finally:
      os.kill(child, 9)


def test_a_child_that_ends_leaves_the_lock(tmp_path):
  with holder(tmp_path, """
      with lock.held(sys.argv[1]) as held:
        if not os.fork():
          sys.exit()  # Runs what `with` does at its end.
        os.wait()
        held.check()
        say('held')
        time.sleep(60)
      """) as process:
    assert fields(tmp_path)['pid'] == process.pid


def test_another_host_is_refused_without_takeover(tmp_path, capsys):
  leave(tmp_path, host='elsewhere', pid=123)
  before = (tmp_path / 'LOCK').read_text()
  with pytest.raises(errors.InputError, match=(
      'in use by pid 123 on host elsewhere since 2026-02-03 04:05:06 UTC')):
    with lock.held(tmp_path):
      pass
  assert (tmp_path / 'LOCK').read_text() == before
  with lock.held(tmp_path, takeover=True) as held:
    held.check()
    assert 'taken over from pid 123' in capsys.readouterr().err
  assert not list(tmp_path.iterdir())


def test_a_process_that_lost_the_lock_raises_and_changes_nothing(tmp_path):
  with lock.held(tmp_path) as held:
    with start(TRIES, tmp_path, 'takeover') as second:
      assert second.stdout.readline() == 'held\n'
      assert sorted(p.name for p in tmp_path.iterdir()) == ['LOCK']
      with pytest.raises(lock.Lost, match=f'taken over by pid {second.pid} '):
        held.check()
      with start(TRIES, tmp_path) as third:  # The new holder is protected.
        assert f'in use by pid {second.pid}' in third.communicate()[0]
      second.communicate('')
    assert not list(tmp_path.iterdir())
    with pytest.raises(lock.Lost, match='is gone'):  # Its successor ended.
      held.check()


def test_the_end_of_a_former_holder_keeps_the_new_lock(tmp_path):
  with contextlib.ExitStack() as stack:
    with lock.held(tmp_path):
      held = stack.enter_context(lock.held(tmp_path, takeover=True))
    held.check()
    with pytest.raises(errors.InputError, match=f'pid {os.getpid()} '):
      with lock.held(tmp_path):
        pass


@pytest.mark.parametrize('left', ['nothing', 'a dead process'])
def test_exactly_one_of_many_processes_gets_the_lock(tmp_path, left):
  if left == 'a dead process':
    leave(tmp_path)
  race = TRIES.replace('try:', 'say("ready"); sys.stdin.readline()\ntry:')
  with contextlib.ExitStack() as stack:
    racers = [stack.enter_context(start(race, tmp_path)) for _ in range(4)]
    for racer in racers:
      assert racer.stdout.readline() == 'ready\n'
    for racer in racers:
      racer.stdin.write('\n')
      racer.stdin.flush()
    said = {racer.pid: racer.stdout.readline() for racer in racers}
    winner, = [pid for pid, line in said.items() if line == 'held\n']
    assert fields(tmp_path)['pid'] == winner
    for pid, line in said.items():
      assert pid == winner or f'in use by pid {winner} ' in line
    for racer in racers:
      racer.communicate('')
  assert not list(tmp_path.iterdir())


def test_a_file_removed_by_its_holder_meanwhile_is_not_locked(
    tmp_path, monkeypatch):
  """Between our opening the file and our locking it, its holder ends."""
  first = contextlib.ExitStack()
  first.enter_context(lock.held(tmp_path))
  flock, seen = fcntl.flock, []

  def late(descriptor, how):
    first.close()
    seen.append(os.fstat(descriptor).st_nlink)
    return flock(descriptor, how)

  monkeypatch.setattr(fcntl, 'flock', late)
  with lock.held(tmp_path) as held:
    assert seen == [0, 1]
    held.check()


def test_waits_for_a_holder_that_is_writing_its_name(tmp_path, monkeypatch):
  """A dead process in a locked file: its successor has not got further."""
  leave(tmp_path)
  with open(tmp_path / 'LOCK', 'r+') as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    monkeypatch.setattr(time, 'sleep', lambda _: leave(tmp_path, pid=1))
    with pytest.raises(errors.InputError, match='in use by pid 1 '):
      with lock.held(tmp_path):
        pass


@pytest.mark.parametrize('text', [
    'mine', '[1]', '{"pid": 1}', '{"pid": "1", "host": "x", "started": "y"}',
    '{"pid": -1, "host": "x", "started": "y"}',
    '{"pid": 1, "host": "\\u001b]0;x", "started": "y"}', '\xff'])
def test_a_text_that_is_not_ours_is_refused(tmp_path, text):
  (tmp_path / 'LOCK').write_text(text, encoding='latin-1')
  with pytest.raises(errors.InputError, match='use by another process'):
    with lock.held(tmp_path):
      pass
  assert (tmp_path / 'LOCK').read_text(encoding='latin-1') == text
  with lock.held(tmp_path, takeover=True) as held:
    held.check()


@pytest.mark.parametrize('text', ['', '\0\0\0', '\n'])
def test_a_text_lost_in_a_crash_of_the_machine(tmp_path, text):
  (tmp_path / 'LOCK').write_text(text)
  with lock.held(tmp_path) as held:
    held.check()


def test_without_flock_the_text_decides(tmp_path, monkeypatch, capsys):
  def unsupported(*unused):
    raise OSError(errno.ENOLCK, 'No locks available')

  monkeypatch.setattr(fcntl, 'flock', unsupported)
  with lock.held(tmp_path) as held:
    with pytest.raises(errors.InputError, match=f'pid {os.getpid()} '):
      with lock.held(tmp_path):
        pass
    held.check()
  leave(tmp_path)
  with lock.held(tmp_path) as held:
    assert 'reclaimed' in capsys.readouterr().err


def test_an_impossible_workdir_is_refused(tmp_path, monkeypatch):
  (tmp_path / 'file').write_text('x')
  (tmp_path / 'run' / 'LOCK').mkdir(parents=True)
  (tmp_path / 'other').mkdir()
  (tmp_path / 'other' / 'LOCK').symlink_to(tmp_path / 'file')
  for name, message in [
      ('file', 'is a file'), ('file/below', 'is a file'),
      ('run', 'cannot be used: .*directory'),
      ('other', 'cannot be used: .*LOCK'),
      ('x' * 300, 'cannot be used: .*too long')]:
    with pytest.raises(errors.InputError, match=message):
      with lock.held(tmp_path / name):
        pass
  assert (tmp_path / 'file').read_text() == 'x'
  monkeypatch.setattr(os, 'access', lambda path, mode: False)  # Root may all.
  with pytest.raises(errors.InputError, match='no permission in'):
    with lock.held(tmp_path / 'new'):
      pass
  assert sorted(p.name for p in tmp_path.iterdir()) == ['file', 'other', 'run']


def test_a_full_disk_is_reported(tmp_path, monkeypatch):
  def full(*unused):
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(os, 'pwrite', full)
  with pytest.raises(errors.InputError, match='No space left'):
    with lock.held(tmp_path / 'new'):
      pass
  assert not list(tmp_path.iterdir())
