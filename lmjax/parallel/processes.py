"""One run in many processes, each with devices of its own.

Every process runs the same script on the same config. They train as one: the
devices of all form one mesh, each process reads its own rows of a batch, and
process 0 alone writes and prints. The run directory is one that all can read.
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

_START_S = 120  # For all processes to be there.
_ADDRESS = 512  # Bytes, of where process 0 can be reached.
_current = channel.Group()


def current() -> channel.Group:
  """Returns the processes of this run: this one alone outside `joined`."""
  return _current


@contextlib.contextmanager
def joined(coordinator: str | None = None, num_processes: int | None = None,
           process_id: int | None = None) -> Iterator[channel.Group]:
  """Makes this process one of several while inside.

  To be entered before JAX is asked for its devices. In all processes but the
  first nothing is printed but errors.

  Args:
    coordinator: host:port at which process 0 can be reached; None takes what
      SLURM or the machine (a TPU pod) says of itself, 'none' ignores it.
    num_processes: How many there are.
    process_id: Which one this is, from 0.

  Raises:
    InputError: If these do not fit together.
    RunError: If not all processes come, or one of them ends.
  """
  global _current
  given = check(coordinator, num_processes, process_id)
  if not given and not _detected(coordinator):
    yield _current
    return
  group = _connected(coordinator if given else None, num_processes, process_id)
  with contextlib.ExitStack() as stack:
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
  """Returns whether processes were named by hand.

  Raises:
    InputError: If they were named by half, or wrongly.
  """
  if coordinator in (None, 'none') and num_processes is process_id is None:
    return False
  if None in (coordinator, num_processes, process_id) or coordinator == 'none':
    raise errors.InputError(
        '--coordinator, --num_processes and --process_id come together, as in '
        '--coordinator=10.0.0.1:8476 --num_processes=2 --process_id=0; got '
        f'{coordinator}, {num_processes} and {process_id}.')
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
  """Makes sure that all processes of this run were given the same.

  Args:
    what: They are, such as 'config'.
    facts: As JSON, by the name of a field.

  Raises:
    InputError: If not, in all of them, naming the field and both values.
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
  """Lets process 0 pass first, and the others when it is done.

  For what one process makes and all read, such as a cache.
  """
  if not _current.first:
    _current.gather(what, None)
  yield
  if _current.first:
    _current.gather(what, None)


def together(main: Callable[[Sequence[str]], None]
             ) -> Callable[[Sequence[str]], None]:
  """Defines the flags of a process; returns `main` run in all processes.

  However one of them ends, the others end as well, and say why.
  """
  coordinator = flags.DEFINE_string(
      'coordinator', None, 'host:port of process 0, where several processes '
      'share a run; found by itself on SLURM and TPU pods, none: not looked '
      'for.')
  num_processes = flags.DEFINE_integer(
      'num_processes', None, 'How many processes share the run.')
  process_id = flags.DEFINE_integer(
      'process_id', None, 'Which of them this is, from 0.')

  def run(argv: Sequence[str]) -> None:
    with joined(coordinator.value, num_processes.value, process_id.value
                ) as group:
      try:
        main(argv)
      except BaseException as error:  # Whatever it is ends all of them.
        if group.count == 1:
          raise
        _end(group, error)
      group.leave()
  return run


def _end(group, error):
  """Ends all processes for what was raised in this one."""
  if isinstance(error, SystemExit):  # All have agreed to stop.
    group.leave()
    raise error
  if not isinstance(error, (
      errors.InputError, errors.RunError, KeyboardInterrupt)):
    # A collective fails where another process is gone: say that instead.
    error = group.why(_patience(error)) or error
  code = cli.tell(error)
  group.fail(
      f'Process {group.index} has ended, and with it the others: '
      f'{cli.told(cli.sentence(error))}', code)
  sys.stdout.flush()
  sys.stderr.flush()
  os._exit(code)  # At exit JAX would wait for the other processes.


def _patience(error):
  """Returns how long to wait for news of a process that may have died."""
  fault = isinstance(error, jax.errors.JaxRuntimeError)
  return channel.SILENCE_S + 5 if fault else 0


def _absent(coordinator, count):
  """Ends this process: JAX' wait for the others cannot be interrupted."""
  os.write(2, (
      f'Error: After {_START_S:g} s not all {count or "the"} processes of the '
      f'run have met at {coordinator or "the host of process 0"}. Start them '
      'all with the same --coordinator and --num_processes, each with another '
      '--process_id; look at what those that are missing have printed.\n'
      ).encode())
  os._exit(channel.EXIT_DIED)


def _detected(coordinator):
  """Returns whether this is one of many by what its surroundings say."""
  if coordinator == 'none':
    return False
  return (int(os.environ.get('SLURM_STEP_NUM_TASKS') or 1) > 1
          or len((os.environ.get('TPU_WORKER_HOSTNAMES') or '').split(',')) > 1)


def _connected(coordinator, num_processes, process_id):
  """Starts JAX's runtime; returns the group of all processes."""
  # Its handler of SIGTERM would take the place of ours.
  jax.config.update('jax_enable_preemption_service', False)
  # After its own time-outs JAX aborts the process with a stack of C++: ours
  # come first, and say what has happened.
  late = threading.Timer(_START_S, _absent, [coordinator, num_processes])
  late.start()
  try:
    jax.distributed.initialize(
        coordinator, num_processes, process_id,
        initialization_timeout=round(2 * _START_S), shutdown_timeout_seconds=10,
        heartbeat_timeout_seconds=round(2 * channel.SILENCE_S))
  except (RuntimeError, ValueError) as error:
    raise errors.RunError(
        f'The processes of the run cannot meet at '
        f'{coordinator or "the host of process 0"}: '
        f'{str(error).splitlines()[0]}') from error
  finally:
    late.cancel()
  group = channel.Group(jax.process_index(), jax.process_count())
  host = socket.gethostname()
  if coordinator is not None:
    host = coordinator.rpartition(':')[0].strip('[]')
  text = json.dumps([host, *group.listen()] if group.first else '').encode()
  mine = np.frombuffer(text.ljust(_ADDRESS), np.uint8)
  found = multihost_utils.process_allgather(mine)[0]
  group.connect(*json.loads(bytes(found)))
  return group
