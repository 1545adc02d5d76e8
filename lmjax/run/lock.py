"""The lock of a run directory: only one process at a time may write to it.

The lock is an flock on WORKDIR/LOCK; the kernel releases it when the process
ends for any reason. The file's text (pid, host, start) names the holder. It is
shown to a user who cannot have the directory, it protects the directory from
hosts that do not see each other's locks, and it shows a former holder that the
directory was taken over.
"""
from collections.abc import Iterator
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import socket
import sys
import time

from lmjax.core import errors
from lmjax.core.files import durable
from lmjax.core.files import flock

NAME = 'LOCK'
_SETTLE_S = 0.5  # The time to wait for a new holder to write its name.
_descriptors = set()


class Lost(errors.RunError):
  """Another process has taken the run directory over."""


@dataclasses.dataclass(frozen=True)
class Holder:
  """The holder of a lock, as recorded in the lock file.

  Attributes:
    pid: The process.
    host: The host on which the process runs.
    started: The time at which it took the lock, as ISO 8601 in UTC.
  """
  pid: int
  host: str
  started: str

  def __str__(self):
    since = self.started.replace('T', ' ').partition('.')[0]
    return f'pid {self.pid} on host {self.host} since {since} UTC'


class Held:
  """A lock that this process holds; created by `held`."""

  def __init__(self, path: pathlib.Path, holder: Holder, descriptor: int):
    self._path, self._holder, self._descriptor = path, holder, descriptor

  def check(self) -> None:
    """Checks that this process still holds the lock; call it before each write.

    Raises:
      Lost: If another process has taken the directory over, or the lock file is
        missing, since the process that removed it may have used the directory.
    """
    try:
      text = self._path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
      raise Lost(
          f'{self._path} is gone: another process removed it and may have used '
          f'the run dir. This process writes nothing more there.') from None
    if _parse(text) != self._holder:
      raise Lost(
          f'The run dir was taken over by {_name(text)} ({self._path}). This '
          f'process writes nothing more there.')

  def release(self) -> None:
    """Releases the lock and, if this process still holds it, removes its file.
    """
    with contextlib.suppress(OSError, Lost):
      self.check()
      self._path.unlink()
    _close(self._descriptor)


@contextlib.contextmanager
def held(
    workdir: str | os.PathLike[str], takeover: bool = False) -> Iterator[Held]:
  """Holds the lock of a run directory, which is created if it does not exist.

  If the process that left a lock has ended, the lock is reclaimed and a line is
  printed to stderr. When the block ends, the lock file is removed, as are the
  directories created here if they are still empty.

  Args:
    workdir: The run directory.
    takeover: Whether to take the lock even from a process that may be running;
      that process notices at its next `check`.

  Raises:
    InputError: If another process holds the lock, or the directory cannot be
      written to. Then nothing has been changed.
  """
  directory = pathlib.Path(workdir)
  check_writable(directory)
  missing = [p for p in (directory, *directory.parents)
             if not os.path.exists(p)]
  path, pid = directory / NAME, os.getpid()
  now = datetime.datetime.now(datetime.timezone.utc)
  ours = Holder(
      pid, socket.gethostname(), now.isoformat(timespec='microseconds'))
  try:
    lock = Held(path, ours, _acquire(path, ours, takeover))
    try:
      yield lock
    finally:
      if os.getpid() == pid:  # A forked child does not hold the lock.
        lock.release()
  finally:
    with contextlib.suppress(OSError):
      for made in missing:
        made.rmdir()  # Fails if the directory is not empty.


def check_writable(workdir: str | os.PathLike[str]) -> None:
  """Raises InputError if a path cannot be created or used as a directory."""
  path = pathlib.Path(workdir)
  nearest = next(p for p in (path, *path.absolute().parents)
                 if os.path.exists(p))
  if not nearest.is_dir():
    raise errors.InputError(
        f'workdir {str(path)!r} cannot be a directory: {nearest} is a file. '
        f'Use another --workdir.')
  if not os.access(nearest, os.W_OK | os.X_OK):
    raise errors.InputError(
        f'workdir {str(path)!r} cannot be written to: no permission in '
        f'{nearest}. Use another --workdir.')


def _acquire(path, ours, takeover):
  """Locks the file, writes our name to it and returns its descriptor."""
  deadline = time.monotonic() + _SETTLE_S
  while True:
    try:
      durable.make_folder(path.parent)
      descriptor = os.open(
          path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
      if isinstance(error, FileNotFoundError) and time.monotonic() < deadline:
        continue  # Its last holder has just removed the directory.
      raise _unusable(path, error) from error
    _descriptors.add(descriptor)
    kept = None
    try:
      locked = flock.acquire(descriptor)
      if locked and not _is_at(descriptor, path):
        continue  # The file that we locked has just been removed or replaced.
      text = os.pread(descriptor, 4096, 0)
      if _may_have(path, text, locked):
        _claim(descriptor, path, ours)
        kept = descriptor
      elif takeover:
        _tell(f'{path}: taken over from {_name(text)}.')
        kept = _replace(path, ours)
      elif locked is False and _unsettled(text) and time.monotonic() < deadline:
        time.sleep(0.01)
        continue
      else:
        raise errors.InputError(
            f'run dir is in use by {_name(text)} ({path}). Use another '
            f'--workdir, or --takeover if that process is gone.')
      return kept
    except OSError as error:
      raise _unusable(path, error) from error
    finally:
      if kept != descriptor:
        _close(descriptor)


def _may_have(path, text, locked):
  """Returns whether the lock is free; prints a line if it is reclaimed."""
  holder = _parse(text)
  if locked is False:
    return False
  if _blank(text):
    return True
  if holder is None or holder.host != socket.gethostname():
    return False  # A process on another host, whose flock we may not see.
  if locked is None and _lives(holder.pid):
    return False
  _tell(f'{path}: reclaimed from {holder}, which is gone.')
  return True


def _claim(descriptor, path, ours):
  """Writes our name into a lock file that no other process holds."""
  try:
    _write(descriptor, ours)
  except OSError:
    path.unlink()
    raise


def _replace(path, ours):
  """Replaces the lock file by a new one, since its holder may have it open."""
  temporary = path.with_name(f'{NAME}.{ours.pid}')
  descriptor = os.open(
      temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
  _descriptors.add(descriptor)
  try:
    flock.acquire(descriptor)
    _write(descriptor, ours)
    durable.rename(temporary, path)
  except OSError:
    _close(descriptor)
    raise
  return descriptor


def _is_at(descriptor, path):
  try:
    return os.path.samestat(os.fstat(descriptor), os.stat(path))
  except FileNotFoundError:
    return False


def _write(descriptor, holder):
  os.ftruncate(descriptor, 0)
  os.pwrite(descriptor, json.dumps(dataclasses.asdict(holder)).encode(), 0)
  os.fsync(descriptor)


def _parse(text):
  """Returns the `Holder` that a lock's text names, or None."""
  try:
    fields = json.loads(text)
    holder = Holder(fields['pid'], fields['host'], fields['started'])
  except (ValueError, LookupError, TypeError, RecursionError):
    return None
  good = (type(holder.pid) is int and holder.pid > 0
          and all(isinstance(x, str) and x.isprintable()
                  for x in (holder.host, holder.started)))
  return holder if good else None


def _blank(text):
  return not text.strip(b'\0 \n')  # A crash of the machine can leave zeros.


def _unsettled(text):
  """Returns whether the holder of a locked file has not written its name yet.
  """
  holder = _parse(text)
  return holder is None or (
      holder.host == socket.gethostname() and not _lives(holder.pid))


def _name(text):
  return str(_parse(text) or 'another process')


def _lives(pid):
  try:
    os.kill(pid, 0)
  except (ProcessLookupError, OverflowError):
    return False
  except PermissionError:  # It belongs to another user.
    return True
  return True


def _unusable(path, error):
  return errors.InputError(
      f'workdir {str(path.parent)!r} cannot be used: {error}. Use another '
      f'--workdir.')


def _close(descriptor):
  _descriptors.discard(descriptor)
  os.close(descriptor)


def _close_in_child():
  """Closes locks in a forked child, which may outlive the run."""
  for descriptor in list(_descriptors):
    _close(descriptor)


def _tell(text):
  print(text, file=sys.stderr, flush=True)


os.register_at_fork(after_in_child=_close_in_child)
