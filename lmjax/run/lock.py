"""One writer: a run directory belongs to one process at a time.

The lock is an flock on WORKDIR/LOCK, which ends with its process, however that
ends. The file's text (pid, host, start) says whose it is: to the user who is
refused, to a host that does not share our locks, and to a holder from whom the
directory was taken meanwhile.
"""
from collections.abc import Iterator
import contextlib
import dataclasses
import datetime
import errno
import fcntl
import json
import os
import pathlib
import socket
import sys
import time

from lmjax.core import errors

NAME = 'LOCK'
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_SETTLE_S = 0.5  # For a holder that is just writing its name.
_descriptors = set()


class Lost(errors.RunError):
  """Another process has taken the run directory over."""


@dataclasses.dataclass(frozen=True)
class Holder:
  """Who holds a lock, as its file says.

  Attributes:
    pid: The process.
    host: Where it runs.
    started: When it took the lock, as ISO 8601 in UTC.
  """
  pid: int
  host: str
  started: str

  def __str__(self):
    since = self.started.replace('T', ' ').partition('.')[0]
    return f'pid {self.pid} on host {self.host} since {since} UTC'


class Held:
  """A lock that this process has; made by `held`."""

  def __init__(self, path: pathlib.Path, holder: Holder, descriptor: int):
    self._path, self._holder, self._descriptor = path, holder, descriptor

  def check(self) -> None:
    """Makes sure that the directory is still ours; call it before a write.

    Raises:
      Lost: If another process has taken it over. A file that is gone says the
        same: whoever removed it may have come and gone.
    """
    try:
      text = self._path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
      raise Lost(
          f'{self._path} is gone: somebody removed it, and may have used the '
          f'run dir. This process writes nothing more there.') from None
    if _parse(text) != self._holder:
      raise Lost(
          f'The run dir was taken over by {_name(text)} ({self._path}). This '
          f'process writes nothing more there.')

  def release(self) -> None:
    """Gives the lock back and removes its file, if it is still ours."""
    with contextlib.suppress(OSError, Lost):
      self.check()
      self._path.unlink()
    _close(self._descriptor)


@contextlib.contextmanager
def held(
    workdir: str | os.PathLike[str], takeover: bool = False) -> Iterator[Held]:
  """Holds the lock of a run directory, which is created if need be.

  A lock whose process is gone is reclaimed, with a line on stderr. At the end
  the file is removed, and so are directories made here that are still empty.

  Args:
    workdir: The run directory.
    takeover: Takes the lock even from a process that seems to live; that one
      notices at its next `check`.

  Raises:
    InputError: If another process holds the lock, or the directory cannot be
      written to. Nothing has been changed then.
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
      if os.getpid() == pid:  # A forked child that comes here has no lock.
        lock.release()
  finally:
    with contextlib.suppress(OSError):
      for made in missing:
        made.rmdir()  # Unless there is something in it.


def check_writable(workdir: str | os.PathLike[str]) -> None:
  """Raises InputError where this is not, or cannot become, a directory."""
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
  """Returns the descriptor of the file, locked and in our name."""
  deadline = time.monotonic() + _SETTLE_S
  while True:
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
      descriptor = os.open(
          path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
    except OSError as error:
      if isinstance(error, FileNotFoundError) and time.monotonic() < deadline:
        continue  # Its holder has just ended, and removed the directory.
      raise _unusable(path, error) from error
    _descriptors.add(descriptor)
    kept = None
    try:
      locked = _flock(descriptor)
      if locked and not _is_at(descriptor, path):
        continue  # What we have locked has just been removed or replaced.
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
  """Returns whether nobody holds a file of this text; says what it reclaims."""
  holder = _parse(text)
  if locked is False:
    return False
  if _blank(text):
    return True
  if holder is None or holder.host != socket.gethostname():
    return False  # A process elsewhere, whose locks may not be seen from here.
  if locked is None and _lives(holder.pid):
    return False
  _tell(f'{path}: reclaimed from {holder}, which is gone.')
  return True


def _claim(descriptor, path, ours):
  """Writes our name into a file that nobody else holds."""
  try:
    _write(descriptor, ours)
  except OSError:
    path.unlink()
    raise


def _replace(path, ours):
  """Puts a new file in the place of one whose holder may still have it."""
  temporary = path.with_name(f'{NAME}.{ours.pid}')
  descriptor = os.open(
      temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
  _descriptors.add(descriptor)
  try:
    _flock(descriptor)
    _write(descriptor, ours)
    os.replace(temporary, path)
  except OSError:
    _close(descriptor)
    raise
  return descriptor


def _flock(descriptor):
  """Returns whether it was free; None where there is no such thing as flock."""
  try:
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    return False
  except OSError as error:
    if error.errno in _UNSUPPORTED:
      return None
    raise
  return True


def _is_at(descriptor, path):
  try:
    return os.path.samestat(os.fstat(descriptor), os.stat(path))
  except FileNotFoundError:
    return False


def _write(descriptor, holder):
  os.ftruncate(descriptor, 0)
  os.pwrite(descriptor, json.dumps(dataclasses.asdict(holder)).encode(), 0)


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
  return not text.strip(b'\0 \n')  # Zeros: a crash of the machine.


def _unsettled(text):
  """Whether the holder of a locked file has not yet written its name."""
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
  except PermissionError:  # It is another user's.
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
  """A forked child that outlives the run must not keep it locked."""
  for descriptor in list(_descriptors):
    _close(descriptor)


def _tell(text):
  print(text, file=sys.stderr, flush=True)


os.register_at_fork(after_in_child=_close_in_child)
