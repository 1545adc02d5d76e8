"""Messages between processes, here between threads."""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from lmjax.core import errors
from lmjax.parallel import channel


ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def ended(monkeypatch):
  """Returns what would have ended processes: pairs (index, code)."""
  found = []
  monkeypatch.setattr(os, '_exit', found.append)
  monkeypatch.setattr(channel, '_GRACE_S', 0.2)
  return found


def groups(count):
  """Returns so many groups that are connected to each other."""
  made = [channel.Group(i, count) for i in range(count)]
  address = made[0].listen()
  for group in made:
    group.connect('127.0.0.1', *address)
  return made


def test_a_single_process_collects_its_own_values():
  group = channel.Group()
  assert group.first
  group.post('a', 1)
  assert group.gather('b', [2]) == [[2]]
  assert group.collect('a') == [1]
  group.leave()
  tell = channel.lagged(group, 'stop')
  assert [tell(i) for i in range(3)] == [[0], [1], [2]]


def test_values_come_back_by_name_in_the_order_of_processes():
  first, second, third = made = groups(3)
  for name in 'xy':
    for group in made[::-1]:
      group.post(name, f'{name} of {group.index}')
  for group in made:
    assert group.collect('y') == ['y of 0', 'y of 1', 'y of 2']
    assert group.collect('x') == ['x of 0', 'x of 1', 'x of 2']
  assert first.first and not second.first and not third.first
  leave(made)


def test_other_connections_are_closed():
  first, second = made = [channel.Group(i, 2) for i in range(2)]
  port, password = first.listen()
  first.connect('127.0.0.1', port, password)
  for text in b'', b'GET / HTTP/1.1\n', b'[]\n', (
      b'{"index": 1, "password": "a guess"}\n'):
    with socket.create_connection(('127.0.0.1', port)) as stranger:
      stranger.sendall(text)
  second.connect('127.0.0.1', port, password)
  for group in made:
    group.post('a', group.index)
  assert first.collect('a') == [0, 1]
  leave(made)


def leave(made):
  threads = [threading.Thread(target=group.leave) for group in made]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(5)
    assert not thread.is_alive()


def test_lagged_values_are_two_calls_old_and_equal_everywhere():
  made = groups(2)
  tell = [channel.lagged(group, 'stop') for group in made]
  found = []
  for step in range(4):
    both = [None, None]

    def ask(i, step=step, both=both):
      both[i] = tell[i](10 * step + i)
    threads = [threading.Thread(target=ask, args=(i,)) for i in range(2)]
    for thread in threads:
      thread.start()
    for thread in threads:
      thread.join(5)
    assert both[0] == both[1]
    found.append(both[0])
  assert found == [[], [], [0, 1], [10, 11]]
  leave(made)


def test_a_dead_process_is_named_to_all_that_wait(ended, capfd):
  first, second, third = groups(3)
  time.sleep(0.1)
  second._socket.shutdown(2)  # As the kernel does for a process it kills.
  for group in first, third:
    with pytest.raises(errors.RunError, match='Process 1 of this run has died'):
      group.collect('never')
  time.sleep(0.5)
  assert channel.EXIT_DIED in ended
  assert 'Error: Process 1 of this run has died' in capfd.readouterr().err


def test_a_refusal_ends_all_with_its_sentence_and_code(ended, capfd):
  first, second = groups(2)
  time.sleep(0.1)
  second.fail('Process 1 has ended: no such field.', 2)
  with pytest.raises(errors.InputError, match='no such field'):
    first.collect('never')
  time.sleep(0.5)
  assert ended == [2]
  assert 'no such field' in capfd.readouterr().err


def test_process_0_ends_last(ended, monkeypatch):
  monkeypatch.setattr(channel, '_GRACE_S', 5.0)
  first, second = groups(2)
  time.sleep(0.1)
  second._left.set()  # It is about to end for the same reason.
  leaving = threading.Thread(target=first.fail, args=('All were refused.', 2))
  leaving.start()
  assert 'All were refused' in str(second.why(5))
  leaving.join(0.3)
  assert leaving.is_alive()
  second._socket.shutdown(2)
  leaving.join(5)
  assert not leaving.is_alive() and ended == []


def test_a_silent_process_counts_as_dead(ended, monkeypatch):
  monkeypatch.setattr(channel, 'SILENCE_S', 0.4)
  monkeypatch.setattr(channel, '_BEAT_S', 0.05)
  monkeypatch.setattr(channel.Group, '_beat', lambda self: (
      None if self.index else beat(self)))
  first, _ = groups(2)
  with pytest.raises(errors.RunError, match='Process 1 .* nothing was heard'):
    first.collect('never')
  first._left.set()
  time.sleep(0.5)
  assert 1 in ended


beat = channel.Group._beat


def test_a_process_that_was_stopped_finds_the_others_alive():
  """As under Ctrl-Z, where all processes of a terminal stop together."""
  source = """
import sys
from lmjax.parallel import channel
channel.SILENCE_S, channel._BEAT_S = 0.5, 0.1
made = [channel.Group(i, 2) for i in range(2)]
address = made[0].listen()
for group in made:
  group.connect('127.0.0.1', *address)
print('ready', flush=True)
sys.stdin.read()
for group in made:
  group.post('still', group.index)
print(made[1].collect('still'))
"""
  with subprocess.Popen(
      [sys.executable, '-c', source], text=True, cwd=ROOT, bufsize=0,
      **dict.fromkeys(['stdin', 'stdout', 'stderr'], subprocess.PIPE)
  ) as process:
    assert process.stdout.readline() == 'ready\n'
    process.send_signal(signal.SIGSTOP)
    time.sleep(1.0)
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=20)
  assert (process.returncode, out, err) == (0, '[0, 1]\n', '')


def test_a_hub_that_cannot_be_reached_is_named():
  with pytest.raises(errors.RunError, match='cannot reach process 0 at 127'):
    channel.Group(1, 2).connect('127.0.0.1', 1, '')
