"""Power cuts: every state in which a power cut could leave a folder.

A disk keeps the contents of a file from the moment at which the file was synced
(`os.fsync`), and the creation, renaming or deletion of a name from the moment
at which its folder was synced. Everything later may be lost or kept, in any
combination. `recorded` watches a program and computes such states. For example,
check that a save is never lost:

  from lmjax.testing import power_cut

  with power_cut.recorded('run', note=saved_steps) as recording:
    train('run')
  for cut in recording.cuts:
    cut.write('after')
    assert not cut.note or restored('after') in cut.note[-2:], cut

The folder is looked at before and after each operation by which Python changes
or syncs it, so files that were written by other code are found too. Such code
may have synced them, but does not count as having done so: the states are at
least as bad as on a real disk.

References:
  Pillai et al., All File Systems Are Not Created Equal: On the Complexity of
  Crafting Crash-Consistent Applications, OSDI 2014.
"""
from collections.abc import Callable, Iterator
import contextlib
import dataclasses
import os
import pathlib
import stat
import threading
from typing import Any
from unittest import mock

import numpy as np

_OPERATIONS = ('fsync', 'mkdir', 'rename', 'replace', 'rmdir', 'remove',
               'unlink')


@dataclasses.dataclass(frozen=True)
class Cut:
  """A state in which a power cut could leave a folder.

  Attributes:
    when: The operation before or after which the power failed.
    lost: Which of the changes that were not synced are lost: 'all', 'contents'
      (but no names), or 'some', which are drawn.
    note: The output of the function `note` at that time.
    files: The contents of each file by its path in the folder; None for a
      folder.
  """
  when: str
  lost: str
  note: Any
  files: dict[str, bytes | None] = dataclasses.field(repr=False)

  def write(self, folder: str | os.PathLike[str]) -> None:
    """Writes the state into a folder, which is created and should be empty."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in self.files.items():  # Folders before their files.
      if content is None:
        (folder / name).mkdir()
      else:
        (folder / name).write_bytes(content)


@contextlib.contextmanager
def recorded(
    folder: str | os.PathLike[str], note: Callable[[], Any] = lambda: None,
    draws: int = 1, seed: int = 0,
) -> Iterator['Recording']:
  """Records the states in which a power cut inside the block leaves a folder.

  What the folder contains at the start counts as synced, and so does its own
  name.

  Args:
    folder: A folder; it should be small, as its contents are kept in memory.
    note: Function called at each moment; its output is kept with the state, for
      example which steps had been saved by then.
    draws: Number of states per moment in which a random part is lost, beside
      one in which everything is and one in which only contents are.
    seed: Seed of these draws.

  Yields:
    A `Recording`, whose `cuts` are complete at the end of the block.
  """
  recording = Recording(folder, note, draws, np.random.default_rng(seed))
  with contextlib.ExitStack() as stack:
    stack.callback(recording.close)
    recording.begin()
    for name in _OPERATIONS:
      stack.enter_context(mock.patch.object(
          os, name, recording.watched(name, getattr(os, name))))
    yield recording


class Recording:
  """The states of a folder that were recorded by `recorded`.

  Attributes:
    cuts: The states that differ, in the order of time. The last ones are from
      the end of the block.
  """

  def __init__(
      self, folder: str | os.PathLike[str], note: Callable[[], Any],
      draws: int, rng: np.random.Generator,
  ):
    self.cuts: list[Cut] = []
    self._folder, self._note = os.fspath(folder), note
    self._draws, self._rng = draws, rng
    self._lock, self._recorded = threading.RLock(), set()
    # Files and folders are told apart by their inodes. The descriptors keep the
    # number of one that is deleted from being used again.
    self._descriptors = {}
    self._names = {}  # Of each folder when it was synced: {name: inode}.
    self._contents = {}  # Of each file when it was synced: (bytes, stamp).

  def begin(self) -> None:
    """Counts all that is in the folder as synced."""
    now = _Now(self._folder)
    for inode in now.paths:
      self._sync(now, inode)
    self._cut('at the start')

  def close(self) -> None:
    """Records the last states, even if they have been recorded before."""
    self._recorded.clear()
    self._cut('at the end')
    for descriptor in self._descriptors.values():
      os.close(descriptor)

  def watched(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a function of `os` that records the states before and after it.
    """
    def operation(*args, **options):
      with self._lock:
        what = f'{name} {", ".join(map(str, args))}'
        self._cut(f'before {what}')
        result = call(*args, **options)
        if name == 'fsync':
          self._sync(_Now(self._folder), os.fstat(args[0]).st_ino)
        self._cut(f'after {what}')
        return result
    return operation

  def _sync(self, now, inode):
    """Keeps the names in a folder, or the contents of a file, as they are now.
    """
    if inode in now.names:
      self._names[inode] = now.names[inode]
      for child in now.names[inode].values():
        if child not in self._descriptors:
          self._descriptors[child] = os.open(now.paths[child], os.O_RDONLY)
    elif inode in now.paths:
      self._contents[inode] = _read(now.paths[inode]), now.stamps[inode]

  def _cut(self, when):
    """Records the states in which the folder may be after a power cut now."""
    now, note = _Now(self._folder), self._note()
    ways = [('all', _yes, _yes), ('contents', _no, _yes),
            *[('some', self._any, self._any)] * self._draws]
    for lost, name_lost, content_lost in ways:
      files = dict(self._files(now, now.root, '', name_lost, content_lost))
      state = lost, repr(note), frozenset(files.items())
      if state not in self._recorded:
        self._recorded.add(state)
        self.cuts.append(Cut(when, lost, note, files))

  def _any(self):
    return bool(self._rng.integers(2))

  def _files(self, now, folder, path, name_lost, content_lost):
    """Yields the path and contents of each file and folder below a folder."""
    synced = self._names.get(folder, {})
    names = synced if name_lost() else now.names.get(folder, {})
    for name, inode in sorted(names.items()):
      if self._is_folder(now, inode):
        yield f'{path}{name}', None
        yield from self._files(
            now, inode, f'{path}{name}/', name_lost, content_lost)
      else:
        yield f'{path}{name}', self._content(now, inode, content_lost())

  def _is_folder(self, now, inode):
    return inode in now.names or inode in self._descriptors and stat.S_ISDIR(
        os.fstat(self._descriptors[inode]).st_mode)

  def _content(self, now, inode, lost):
    """Returns the contents of a file, of which those not synced may be lost."""
    synced, stamp = self._contents.get(inode, (b'', None))
    if now.stamps.get(inode, stamp) == stamp:
      return synced
    latest = _read(now.paths[inode])
    if not lost:
      return latest
    return synced if latest.startswith(synced) else b''  # It was written anew.


class _Now:
  """What a folder contains at one moment.

  Attributes:
    root: The inode of the folder.
    names: {name: inode} in each folder, by its inode.
    paths: The path of each file and folder, by inode.
    stamps: A value that changes with the contents of a file, by inode.
  """

  def __init__(self, folder: str):
    self.names, self.paths, self.stamps = {}, {}, {}
    self.root = os.stat(folder).st_ino
    self._add(folder, self.root)

  def _add(self, folder, inode):
    self.paths[inode], self.names[inode] = folder, {}
    for entry in os.scandir(folder):
      status = entry.stat(follow_symlinks=False)
      if stat.S_ISDIR(status.st_mode):
        self._add(entry.path, status.st_ino)
      elif stat.S_ISREG(status.st_mode):
        self.paths[status.st_ino] = entry.path
        self.stamps[status.st_ino] = status.st_mtime_ns, status.st_size
      else:
        continue
      self.names[inode][entry.name] = status.st_ino


def _yes():
  return True


def _no():
  return False


def _read(path):
  return pathlib.Path(path).read_bytes()
