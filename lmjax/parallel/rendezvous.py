"""The place where the processes of a run meet before JAX connects them.

If two processes join JAX's runtime with the same index, JAX aborts the healthy
ones too. The processes therefore meet at --coordinator first: process 0 tells
each of them the port of JAX's service, and refuses an index that is taken.
Nothing else is exchanged here; see `channel` for messages during the run.
"""
from collections.abc import Iterator
import contextlib
import errno
import json
import os
import select
import socket
import threading
import time
from typing import Any

from lmjax.core import errors

_AGAIN_S = 0.3  # Between two attempts to reach process 0.
_ANSWER_S = 10.0  # The time in which the other side has to answer.
_SETTLE_S = 5.0  # The time in which an earlier run has to end.
_LONGEST = 4096  # Bytes of a message.


@contextlib.contextmanager
def met(coordinator: str, count: int, index: int, seconds: float
        ) -> Iterator[tuple[str, Any]]:
  """Holds the place of a process in a run inside the block.

  Args:
    coordinator: The host:port of process 0.
    count: The number of processes.
    index: The index of this process.
    seconds: The time in which process 0 has to be there.

  Yields:
    The host:port for JAX's service, and a function to call when JAX has
    connected all processes.

  Raises:
    InputError: If another process has this index, or the processes were started
      with different numbers of processes.
    RunError: If process 0 is not there in time.
  """
  host, _, port = coordinator.rpartition(':')
  if index == 0:
    with _Entrance(int(port), count) as entrance:
      yield f'{host}:{entrance.service}', entrance.close
    return
  connection, service = _enter(
      host.strip('[]'), int(port), count, index, seconds)
  with connection:
    yield f'{host}:{service}', lambda: None


class _NotUnderstood(Exception):
  """A message is not from a process of a run."""


class _Entrance:
  """The server in process 0 that gives each process its place.

  Attributes:
    service: A free port for JAX's service.
  """

  def __init__(self, port: int, count: int):
    self._count, self._lock = count, threading.Lock()
    self._holders = {0: (_name(), None)}  # With the connection of each.
    self._closed = False
    try:
      self._server = _listening(port, count)
    except OSError as error:
      raise errors.InputError(
          f'Process 0 cannot listen at port {port} of --coordinator '
          f'({os.strerror(error.errno)}). If another process 0 or another run '
          'uses it, give every process its own --process_id, or every run its '
          'own port.') from error
    with socket.create_server(('', 0)) as free:
      self.service = free.getsockname()[1]

  def __enter__(self) -> '_Entrance':
    threading.Thread(target=self._accept, name='entrance', daemon=True).start()
    return self

  def __exit__(self, *unused):
    with contextlib.suppress(OSError):
      self._server.shutdown(socket.SHUT_RDWR)  # Ends the wait of `_accept`.
    self._server.close()

  def close(self) -> None:
    """Lets no other process in, since JAX has connected all of them."""
    self._closed = True

  def _accept(self):
    with contextlib.suppress(OSError):  # The server was closed.
      while True:
        connection, _ = self._server.accept()
        threading.Thread(target=self._admit, args=(connection,),
                         name='entrance', daemon=True).start()

  def _admit(self, connection):
    with connection, contextlib.suppress(OSError, _NotUnderstood):
      connection.settimeout(_ANSWER_S)
      asked = _received(connection)
      index = asked.get('index')
      answer = self._answer(
          index, asked.get('name'), asked.get('count'), connection)
      try:
        _send(connection, answer)
        connection.settimeout(None)
        connection.recv(1)  # Returns when the process ends.
      finally:
        if 'service' in answer:
          with self._lock:
            if self._holders[index][1] is connection:
              del self._holders[index]

  def _answer(self, index: Any, who: Any, count: Any,
              connection: socket.socket) -> dict[str, Any]:
    if type(index) is not int or not isinstance(who, str):
      raise _NotUnderstood
    if count != self._count:
      return {'refused': (
          f'--num_processes={count}, but process 0 of the run was started '
          f'with --num_processes={self._count}.')}
    with self._lock:
      holder, held = self._holders.get(index, (None, None))
      # Its own thread may not have noticed yet that a process has ended.
      if holder is not None and not _ended(held):
        return {'refused': (
            f'--process_id={index} is taken by {holder}; give '
            f'each of the {count} processes another one, from 0 to '
            f'{count - 1}. The other processes go on.')}
      if self._closed:  # The run ends, as one of its processes has.
        return {'again': True}
      self._holders[index] = who, connection
    return {'service': self.service}


def _ended(connection: socket.socket | None) -> bool:
  """Returns whether the other side of a connection is gone."""
  if connection is None or not select.select([connection], [], [], 0)[0]:
    return False
  try:
    return not connection.recv(1, socket.MSG_PEEK)
  except OSError:
    return True


def _listening(port: int, count: int) -> socket.socket:
  """Returns a server at a port, which a run that ends may use a little longer.
  """
  deadline = time.monotonic() + _SETTLE_S
  while True:
    try:
      return socket.create_server(('', port), backlog=count)
    except OSError as error:
      if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
        raise
    time.sleep(_AGAIN_S)


def _enter(host: str, port: int, count: int, index: int, seconds: float
           ) -> tuple[socket.socket, int]:
  """Returns the connection that holds a place, and the port of JAX's service.
  """
  deadline = time.monotonic() + seconds
  asked = {'index': index, 'count': count, 'name': _name()}
  while True:
    with contextlib.suppress(OSError, _NotUnderstood):
      connection = socket.create_connection((host, port), _ANSWER_S)
      answer = {}
      try:
        _send(connection, asked)
        answer = _received(connection)
        if 'refused' in answer:
          raise errors.InputError(str(answer['refused']))
        if 'service' in answer:
          return connection, int(answer['service'])
      finally:
        if 'service' not in answer:
          connection.close()
    if time.monotonic() > deadline:
      raise errors.RunError(absent(f'{host}:{port}', count, seconds))
    time.sleep(_AGAIN_S)


def absent(coordinator: str, count: int | str, seconds: float) -> str:
  """Returns the message that not all processes have met in time."""
  return (
      f'After {seconds:g} s not all {count} processes of the run have met at '
      f'{coordinator}. Start them all with the same --coordinator and '
      '--num_processes, each with another --process_id, and look at the output '
      'of the missing processes.')


def _name() -> str:
  return f'pid {os.getpid()} on host {socket.gethostname()}'


def _send(connection, message):
  connection.sendall(json.dumps(message).encode() + b'\n')


def _received(connection) -> dict[str, Any]:
  text = b''
  while not text.endswith(b'\n'):
    part = connection.recv(_LONGEST)
    text += part
    if not part or len(text) > _LONGEST:
      raise _NotUnderstood
  try:
    message = json.loads(text)
  except ValueError as error:
    raise _NotUnderstood from error
  if not isinstance(message, dict):
    raise _NotUnderstood
  return message
