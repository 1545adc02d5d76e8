"""Processes meet before JAX connects them; an index that is taken is refused.
"""
import contextlib
import socket
import threading
import time

import pytest

from lmjax.core import errors
from lmjax.parallel import rendezvous


@pytest.fixture
def coordinator(monkeypatch):
  monkeypatch.setattr(rendezvous, '_AGAIN_S', 0.01)
  with socket.create_server(('127.0.0.1', 0)) as free:
    return f'127.0.0.1:{free.getsockname()[1]}'


def meet(coordinator, index, count=3, seconds=5):
  return rendezvous.met(coordinator, count, index, seconds)


def test_all_processes_get_the_same_address(coordinator):
  found = []

  def second():
    with meet(coordinator, 1) as (service, _):
      found.append(service)
  early = threading.Thread(target=second)  # Waits for process 0.
  early.start()
  time.sleep(0.05)
  with meet(coordinator, 0) as (service, connected):
    early.join(5)
    with meet(coordinator, 2) as (third, _):
      connected()
  host, _, port = service.rpartition(':')
  assert found == [service] and third == service and host == '127.0.0.1'
  assert port != coordinator.rpartition(':')[2]


def test_an_index_that_is_taken_is_refused_with_its_holder(coordinator):
  with meet(coordinator, 0) as (_, connected), meet(coordinator, 1):
    for at_once in True, False:
      with pytest.raises(errors.InputError, match=(
          '--process_id=1 is taken by pid .* on host .*; give each of the 3 '
          'processes another one, from 0 to 2')):
        meet(coordinator, 1).__enter__()
      if at_once:
        connected()


def test_a_second_process_0_is_refused(coordinator, monkeypatch):
  monkeypatch.setattr(rendezvous, '_SETTLE_S', 0.05)
  with meet(coordinator, 0):
    with pytest.raises(errors.InputError, match='Process 0 cannot listen'):
      meet(coordinator, 0).__enter__()


def test_another_number_of_processes_is_refused(coordinator):
  with meet(coordinator, 0):
    with pytest.raises(errors.InputError, match=(
        '--num_processes=4, but process 0 .* with --num_processes=3')):
      meet(coordinator, 3, count=4).__enter__()


def test_a_process_that_ended_may_be_started_again(coordinator):
  with meet(coordinator, 0) as (_, connected):
    with meet(coordinator, 1):
      pass
    with meet(coordinator, 1):
      connected()
    # From now on it waits until the run, which lacks a process, has ended.
    with pytest.raises(errors.RunError, match='After 0.1 s not all 3'):
      meet(coordinator, 1, seconds=0.1).__enter__()


def test_a_process_that_ended_is_replaced_before_its_thread_noticed(
    coordinator):
  entrance = rendezvous._Entrance(int(coordinator.partition(':')[2]), 3)
  ours, theirs = socket.socketpair()
  later, _ = socket.socketpair()
  with entrance:
    assert 'service' in entrance._answer(1, 'first', 3, ours)
    assert 'first' in entrance._answer(1, 'second', 3, later)['refused']
    theirs.close()
    assert 'service' in entrance._answer(1, 'second', 3, later)
    assert 'second' in entrance._answer(1, 'third', 3, ours)['refused']
  for each in ours, later:
    each.close()


def test_the_port_can_be_used_again_at_once(coordinator):
  for _ in range(3):
    with meet(coordinator, 0), meet(coordinator, 1):
      pass


def test_a_process_0_that_never_comes_is_reported(coordinator):
  with pytest.raises(errors.RunError, match='met at 127.0.0.1:'):
    meet(coordinator, 1, seconds=0.1).__enter__()


@pytest.mark.parametrize('text', [
    b'', b'GET / HTTP/1.1\n', b'[]\n', b'{"index": [1], "name": "x"}\n',
    b'{"index": 1, "name": 3, "count": 3}\n', b'x' * 10_000])
def test_strangers_are_sent_away(coordinator, text):
  host, _, port = coordinator.rpartition(':')
  with meet(coordinator, 0):
    with socket.create_connection((host, int(port)), 5) as stranger:
      stranger.sendall(text)
      with contextlib.suppress(OSError):
        stranger.shutdown(socket.SHUT_WR)
      with contextlib.suppress(ConnectionResetError):
        assert stranger.recv(100) == b''
    with meet(coordinator, 1):
      pass
