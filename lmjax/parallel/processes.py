"""One run in several processes, each with its own devices.

Every process runs the same script with the same config. The devices of all
processes form one mesh, each process reads its own rows of a batch, and only
process 0 writes and prints. All processes must be able to read the run
directory.
"""
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import json
import logging
import os
import socket
import sys
import threading
from typing import Any

from absl import flags
import jax
from jax.experimental import multihost_utils
import numpy as np

from lmjax.core import cli
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.parallel import channel
from lmjax.parallel import rendezvous

flags.disclaim_key_flags()  # --help lists these flags under the script.

_START_S = 120  # The time in which all processes have to start.
_STOPPED_S = 24 * 3600  # The time for which processes may be stopped.
_ADDRESS = 512  # Bytes for the address of process 0.
_current = channel.Group()


def current() -> channel.Group:
  """Returns the processes of this run; outside `joined`, only this one."""
  return _current


@contextlib.contextmanager
def joined(coordinator: str | None = None, num_processes: int | None = None,
           process_id: int | None = None) -> Iterator[channel.Group]:
  """Joins this process with the other processes of a run inside the block.

  It has to be entered before JAX's devices are used. All processes except the
  first print only errors.

  Args:
    coordinator: The host:port of process 0. None uses the settings of SLURM or
      of a TPU pod if there are any; 'none' ignores them.
    num_processes: The number of processes.
    process_id: The index of this process, from 0.

  Raises:
    InputError: If the arguments do not fit together, or another process has
      the same index.
    RunError: If a process does not start, or ends.
  """
  global _current
  given = check(coordinator, num_processes, process_id)
  if not given and not _detected(coordinator):
    yield _current
    return
  with contextlib.ExitStack() as stack:
    service, connected = coordinator, lambda: None
    if given:
      service, connected = stack.enter_context(rendezvous.met(
          coordinator, num_processes, process_id, _START_S))
    group = _connected(
        service if given else None, num_processes, process_id,
        coordinator if given else 'the host of process 0')
    connected()
    if not group.first:
      quiet = stack.enter_context(open(os.devnull, 'w', encoding='utf-8'))
      stack.enter_context(contextlib.redirect_stdout(quiet))
      logging.getLogger('lmjax').setLevel(logging.ERROR)
    before, _current = _current, group
    try:
      yield group
    finally:
      _current = before


def check(coordinator: str | None, num_processes: int | None,
          process_id: int | None) -> bool:
  """Returns whether the arguments of `joined` describe several processes.

  Raises:
    InputError: If the arguments are incomplete or invalid.
  """
  if coordinator in (None, 'none') and num_processes is process_id is None:
    return False
  if None in (coordinator, num_processes, process_id) or coordinator == 'none':
    raise errors.InputError(
        '--coordinator, --num_processes and --process_id have to be given '
        'together, as in --coordinator=10.0.0.1:8476 --num_processes=2 '
        f'--process_id=0; got {coordinator}, {num_processes} and {process_id}.')
  host, _, port = coordinator.rpartition(':')
  if not host or not port.isdigit():
    raise errors.InputError(
        '--coordinator should be host:port, such as 10.0.0.1:8476; got '
        f'{coordinator!r}.')
  if num_processes < 1 or not 0 <= process_id < num_processes:
    raise errors.InputError(
        f'--process_id should be from 0 to {num_processes - 1}, below '
        f'--num_processes={num_processes}; got {process_id}.')
  return True


def same(what: str, facts: Mapping[str, Any]) -> None:
  """Checks that all processes of this run were started with the same values.

  Args:
    what: The name of the values, such as 'config'.
    facts: The values, as JSON, by field.

  Raises:
    InputError: If values differ, in all processes; the message has the fields
      and both values.
  """
  for index, other in enumerate(found := _current.gather(what, dict(facts))):
    changed = config_lib.difference(found[0], other)
    if changed:
      lines = [f'\n  {field}: {mine!r} in process 0, {theirs!r} in process '
               f'{index}' for field, (mine, theirs) in changed.items()]
      raise errors.InputError(
          f'Process {index} was started with another {what} than process 0:'
          f'{"".join(lines[:5])}\nStart all processes of a run with the same.')


@contextlib.contextmanager
def in_turn(what: str) -> Iterator[None]:
  """Runs the block in process 0 first, then in the other processes.

  It is meant for files that process 0 makes and all read, such as a cache.
  """
  if not _current.first:
    _current.gather(what, None)
  yield
  if _current.first:
    _current.gather(what, None)


def together(main: Callable[[Sequence[str]], None]
             ) -> Callable[[Sequence[str]], None]:
  """Defines the flags of a process; returns `main` wrapped in `joined`.

  If one process ends for any reason, the others end as well and print why.
  """
  coordinator = flags.DEFINE_string(
      'coordinator', None, 'host:port of process 0, if several processes share '
      'a run; detected on SLURM and TPU pods unless it is none.')
  num_processes = flags.DEFINE_integer(
      'num_processes', None, 'Number of processes that share the run.')
  process_id = flags.DEFINE_integer(
      'process_id', None, 'Index of this process, from 0.')

  def run(argv: Sequence[str]) -> None:
    with joined(coordinator.value, num_processes.value, process_id.value
                ) as group:
      try:
        main(argv)
      except BaseException as error:  # Any exception ends all processes.
        if group.count == 1:
          raise
        _end(group, error)
      group.leave()
  return run


def _end(group, error):
  """Ends all processes because of an exception in this one."""
  if isinstance(error, errors.Stopped):
    code, why = error.code, error.sentence
  elif isinstance(error, SystemExit):  # All processes stop at the same step.
    group.leave()
    raise error
  else:
    if not isinstance(error, (
        errors.InputError, errors.RunError, KeyboardInterrupt)):
      # A collective fails when another process has died: report that instead.
      error = group.why(_patience(error)) or error
    code, why = cli.tell(error), cli.sentence(error)
  group.fail(f'Process {group.index} has ended, and with it the others: '
             f'{cli.told(why)}', code)
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)  # A normal exit of JAX would wait for the other processes.


def _patience(error):
  """Returns the seconds to wait for the report that a process has died."""
  fault = isinstance(error, jax.errors.JaxRuntimeError)
  return channel.SILENCE_S + 5 if fault else 0


def _absent(where, count):
  """Ends this process, since JAX's wait for others cannot be interrupted."""
  message = rendezvous.absent(where, count or 'the', _START_S)
  os.write(2, f'Error: {message}\n'.encode())
  os._exit(channel.EXIT_DIED)


def _detected(coordinator):
  """Returns whether SLURM or a TPU pod has started several processes."""
  if coordinator == 'none':
    return False
  return (int(os.environ.get('SLURM_STEP_NUM_TASKS') or 1) > 1
          or len((os.environ.get('TPU_WORKER_HOSTNAMES') or '').split(',')) > 1)


def _connected(service, num_processes, process_id, where):
  """Starts JAX's runtime; returns the group of all processes."""
  # JAX's handler of SIGTERM would replace ours.
  jax.config.update('jax_enable_preemption_service', False)
  # After its own timeouts JAX aborts the process with a C++ stack. Ours are
  # shorter, print a sentence, and do not count the time in which a process is
  # stopped.
  late = threading.Timer(_START_S, _absent, [where, num_processes])
  late.start()
  try:
    jax.distributed.initialize(
        service, num_processes, process_id,
        initialization_timeout=round(2 * _START_S), shutdown_timeout_seconds=10,
        heartbeat_timeout_seconds=_STOPPED_S)
    group = channel.Group(jax.process_index(), jax.process_count())
    host = socket.gethostname()
    if service is not None:
      host = service.rpartition(':')[0].strip('[]')
    text = json.dumps([host, *group.listen()] if group.first else '').encode()
    mine = np.frombuffer(text.ljust(_ADDRESS), np.uint8)
    found = multihost_utils.process_allgather(mine)[0]
    group.connect(*json.loads(bytes(found)))
    return group
  except (RuntimeError, ValueError) as error:
    raise errors.RunError(
        f'The processes of the run cannot meet at {where}: '
        f'{str(error).splitlines()[0]}') from error
  finally:
    late.cancel()
