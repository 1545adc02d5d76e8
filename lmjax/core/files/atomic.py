"""Atomic writing: a reader sees a file or a folder complete or not at all.

This is also so after a power cut, and everything has reached the disk when a
function returns. Until then the file or folder has another name, which ends in
.tmp; what a killed process has left under such a name is removed by the next
process that writes the same file.
"""
from collections.abc import Callable, Iterator
import contextlib
import os
import pathlib
import re
import shutil
from typing import IO, Literal

from lmjax.core.files import durable
from lmjax.core.files import flock

_KEPT = 50  # Characters of a name; file systems allow names of 255 bytes.


def write(path: durable.Path, content: str | bytes) -> None:
  """Writes a text, or bytes, to `path` atomically.

  Example:
    >>> write('report.json', '{}')  # doctest: +SKIP
  """
  with opened(path, 'w' if isinstance(content, str) else 'wb') as file:
    file.write(content)


@contextlib.contextmanager
def opened(
    path: durable.Path, mode: Literal['w', 'wb'] = 'w') -> Iterator[IO]:
  """Opens a file that appears under `path` when the block ends.

  Until then `path` is unchanged; if the block raises, it stays unchanged. Text
  is written as UTF-8.
  """
  with _beside(pathlib.Path(path), _new_file) as (_, descriptor):
    with open(descriptor, mode, closefd=False,
              encoding='utf-8' if mode == 'w' else None) as file:
      yield file
    os.fsync(descriptor)


@contextlib.contextmanager
def folder(path: durable.Path) -> Iterator[pathlib.Path]:
  """Yields a new folder, which gets the name `path` when the block ends.

  Parents that do not exist are created. If the block raises, the folder is
  removed.

  Raises:
    OSError: If there is a folder of that name that is not empty.
  """
  path = pathlib.Path(path)
  durable.make_folder(path.parent)
  with _beside(path, _new_folder) as (temporary, _):
    yield temporary
    durable.sync_tree(temporary)


@contextlib.contextmanager
def _beside(
    path: pathlib.Path, create: Callable[[pathlib.Path], int],
) -> Iterator[tuple[pathlib.Path, int]]:
  """Yields a name beside `path` and its descriptor; renames it to `path`."""
  _sweep(path)
  temporary, descriptor = _claimed(path, create)
  try:
    yield temporary, descriptor
    durable.rename(temporary, path)
  except BaseException:
    with contextlib.suppress(OSError):
      _remove(temporary)
    raise
  finally:
    os.close(descriptor)


def _claimed(path, create):
  """Creates a file or folder and locks it, so that it is not swept."""
  while True:
    temporary = path.with_name(f'{path.name[:_KEPT]}.{os.urandom(8).hex()}.tmp')
    descriptor = create(temporary)
    if flock.acquire(descriptor) is not False and os.fstat(descriptor).st_nlink:
      return temporary, descriptor
    os.close(descriptor)  # Another process swept it before it was locked.


def _new_file(path):
  return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)


def _new_folder(path):
  path.mkdir()
  return os.open(path, os.O_RDONLY)


def _sweep(path):
  """Removes what killed processes have left of writing to `path`."""
  name = re.compile(re.escape(path.name[:_KEPT]) + r'\.[0-9a-f]{16}\.tmp')
  with contextlib.suppress(OSError):  # It may be removed by another process.
    for found in path.parent.iterdir():
      if name.fullmatch(found.name):
        descriptor = os.open(
            found, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
          if flock.acquire(descriptor):  # Else a process is writing it.
            _remove(found)
        finally:
          os.close(descriptor)


def _remove(path):
  if path.is_dir():
    shutil.rmtree(path)
  else:
    path.unlink()
