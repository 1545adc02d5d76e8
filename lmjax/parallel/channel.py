"""Messages between the processes of a run, over TCP rather than collectives.

A collective waits forever for a process that has died, and all processes must
call collectives in the same order. Processes therefore exchange other facts
(the config, digests of batches, whether to stop) over TCP. Each process is
connected to a hub in process 0, and values are matched by name. A connection
that breaks or falls silent shows which process has died.
"""
from collections.abc import Callable
import json
import os
import secrets
import select
import socket
import threading
from typing import Any

from lmjax.core import errors

_BEAT_S = 5.0  # The interval of the heartbeats of each process.
SILENCE_S = 30.0  # A process that is silent for so long is considered dead.
_GRACE_S = 5.0  # The time that process 0 has to end in an orderly way.
_KILLED = 'it was killed, or its host is gone'
EXIT_DIED = 1  # The same as for a `RunError`.


class Group:
  """The processes of one run; a group of one process communicates nothing.

  A process posts a value under a name and collects the values of all processes
  later. A name can be used only once.

  Attributes:
    index: The index of this process.
    count: The number of processes.
    failure: The exception that ends the run in all processes, or None.
  """

  def __init__(self, index: int = 0, count: int = 1):
    self.index, self.count = index, count
    self.failure = None
    self._values, self._changed = {}, threading.Condition()
    self._socket = self._hub = None
    self._sending, self._left = threading.Lock(), threading.Event()

  @property
  def first(self) -> bool:
    """Whether this is process 0, which writes and prints."""
    return self.index == 0

  def post(self, name: str, value: Any) -> None:
    """Posts a JSON value under a name, without waiting."""
    if self._socket is None:
      self._values[name] = [value]
    else:
      self._send({'name': name, 'value': value})

  def collect(self, name: str) -> list[Any]:
    """Waits for and returns the values of all processes under a name, by index.

    Raises:
      RunError: If a process has ended.
    """
    with self._changed:
      self._changed.wait_for(
          lambda: name in self._values or self.failure is not None)
      if name not in self._values:
        raise self.failure
      return self._values.pop(name)

  def gather(self, name: str, value: Any) -> list[Any]:
    """Posts a value and returns the values of all processes."""
    self.post(name, value)
    return self.collect(name)

  def listen(self) -> tuple[int, str]:
    """Opens the hub in this process; returns its port and a password."""
    self._hub = _Hub(self.count)
    return self._hub.port, self._hub.password

  def connect(self, host: str, port: int, password: str) -> None:
    """Connects to the hub in process 0.

    Args:
      host: The host of process 0.
      port: The port that `listen` returned there.
      password: The password that `listen` returned there.

    Raises:
      RunError: If the hub cannot be reached.
    """
    try:
      self._socket = socket.create_connection((host, port), timeout=SILENCE_S)
    except OSError as error:
      raise errors.RunError(
          f'Process {self.index} cannot reach process 0 at {host}:{port} '
          f'({error}). The processes of a run communicate over TCP: let their '
          'hosts reach each other.') from error
    self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    self._send({'index': self.index, 'password': password})
    for work in self._receive, self._beat:
      threading.Thread(target=work, name='channel', daemon=True).start()

  def leave(self) -> None:
    """Waits until all processes have called `leave`."""
    self.gather('leave', None)
    self._left.set()

  def fail(self, sentence: str, code: int) -> None:
    """Ends the run in the other processes; returns when they know.

    Args:
      sentence: The message that they print.
      code: The exit code that they end with.
    """
    self._left.set()
    if self._socket is None or self.failure is not None:
      return
    self._send({'sentence': sentence, 'code': code})
    with self._changed:  # The hub returns it, or another process's failure.
      self._changed.wait_for(lambda: self.failure is not None, _GRACE_S)
    if self._hub is not None:  # JAX aborts processes that outlive process 0.
      self._hub.wait_for_others(_GRACE_S)

  def why(self, seconds: float) -> Exception | None:
    """Waits up to `seconds` for `failure` and returns it."""
    with self._changed:
      self._changed.wait_for(lambda: self.failure is not None, seconds)
      return self.failure

  def _send(self, message):
    try:
      with self._sending:
        self._socket.sendall(json.dumps(message).encode() + b'\n')
    except OSError:
      pass  # The thread that reads from the connection reports it.

  def _beat(self):
    while not self._left.wait(_BEAT_S):
      self._send({})

  def _receive(self):
    try:
      for message in _messages(self._socket):
        if 'sentence' in message:
          self._end(message['sentence'], message['code'])
          return
        if 'name' in message:
          with self._changed:
            self._values[message['name']] = message['values']
            self._changed.notify_all()
      reason = _KILLED
    except TimeoutError:
      reason = f'nothing was heard from it for {SILENCE_S:g} s'
    except OSError:
      reason = _KILLED
    self._end(died(0, reason), EXIT_DIED)

  def _end(self, sentence, code):
    """Ends this process, which may be waiting in a collective for another."""
    ending = self._left.is_set()
    with self._changed:
      kind = errors.InputError if code == 2 else errors.RunError
      self.failure = kind(sentence)
      self._changed.notify_all()
    if ending or self.index == 0 and self._left.wait(_GRACE_S):
      return
    os.write(2, f'Error: {sentence}\n'.encode())
    os._exit(code)


class _Hub:
  """The server in process 0, which distributes posted values and failures."""

  def __init__(self, count):
    self._count, self._values = count, {}
    self._connections, self._lock = {}, threading.Lock()
    self._there, self._fewer = set(), threading.Condition()
    self._done = None  # The message that ended the run; {} for a normal end.
    self._server = socket.create_server(('', 0), backlog=count)
    self.port = self._server.getsockname()[1]
    self.password = secrets.token_hex(16)
    threading.Thread(target=self._accept, name='hub', daemon=True).start()

  def _accept(self):
    while True:
      connection, _ = self._server.accept()
      connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
      connection.settimeout(SILENCE_S)
      threading.Thread(target=self._serve, args=(connection,), name='hub',
                       daemon=True).start()

  def _serve(self, connection):
    index, reason = None, _KILLED
    try:
      for message in _messages(connection):
        if index is None:
          if message.get('password') != self.password:
            break  # The connection is not from a process of this run.
          index = message['index']
          self._there.add(index)
          self._connections[index] = connection, threading.Lock()
          if self._done is not None:  # The run has already ended.
            self._send(index, self._done)
        elif 'sentence' in message:
          self._tell_end(message)
        elif 'name' in message:
          self._take(index, message['name'], message['value'])
        else:
          self._send(index, {})
    except TimeoutError:
      reason = f'nothing was heard from it for {SILENCE_S:g} s'
    except (OSError, ValueError, AttributeError):  # Broken, or not JSON.
      pass
    if index is None:
      connection.close()
    else:
      with self._fewer:
        self._there.discard(index)
        self._fewer.notify_all()
      self._tell_end({'sentence': died(index, reason), 'code': EXIT_DIED})

  def wait_for_others(self, seconds: float) -> None:
    """Waits up to `seconds` until process 0 is the only one left."""
    with self._fewer:
      self._fewer.wait_for(lambda: self._there <= {0}, seconds)

  def _take(self, index, name, value):
    with self._lock:
      values = self._values.setdefault(name, {})
      values[index] = value
      if len(values) < self._count:
        return
      del self._values[name]
      if name == 'leave' and self._done is None:
        self._done = {}
    self._send_all({'name': name,
                    'values': [values[i] for i in range(self._count)]})

  def _tell_end(self, message):
    with self._lock:
      if self._done is not None:
        return
      self._done = message
    self._send_all(message)

  def _send_all(self, message):
    """Sends to process 0 last, since the others would notice its end."""
    for index in sorted(self._connections, reverse=True):
      self._send(index, message)

  def _send(self, index, message):
    connection, sending = self._connections[index]
    try:
      with sending:
        connection.sendall(json.dumps(message).encode() + b'\n')
    except OSError:
      pass  # The thread that reads from the connection notices.


def died(index: int, reason: str) -> str:
  """Returns the message that other processes print about one that died."""
  return (f'Process {index} of this run has died: {reason}. The others end as '
          'well. Start all processes again, in any number, and the run '
          'continues from its last checkpoint.')


def lagged(group: Group, name: str, lag: int = 2
           ) -> Callable[[Any], list[Any]]:
  """Returns a function that exchanges values between processes with a delay.

  Every process calls it once per step with a value. It returns the values that
  all processes gave `lag` calls before, which have usually arrived by then, so
  that no process waits; the first `lag` calls return []. With one process there
  is no delay.

  Args:
    group: The processes.
    name: The name of the exchange, different from all others.
    lag: The delay, in calls.
  """
  if group.count == 1:
    return lambda value: [value]
  calls = 0

  def call(value):
    nonlocal calls
    group.post(f'{name} {calls}', value)
    calls += 1
    return [] if calls <= lag else group.collect(f'{name} {calls - 1 - lag}')
  return call


def _messages(connection):
  """Yields messages as they arrive, until the other side closes.

  Silence is counted in short waits. A time in which this process itself is
  stopped (Ctrl-Z, a laptop that sleeps) is one of them, however long it is.

  Raises:
    TimeoutError: After `SILENCE_S` without a message.
  """
  arriving, buffer, silent_s = select.poll(), b'', 0.0
  arriving.register(connection, select.POLLIN)
  while silent_s < SILENCE_S:
    if not arriving.poll(1000 * _BEAT_S):
      silent_s += _BEAT_S
      continue
    if not (part := connection.recv(1 << 16)):
      return
    *lines, buffer = (buffer + part).split(b'\n')
    yield from map(json.loads, lines)
    silent_s = 0.0
  raise TimeoutError
