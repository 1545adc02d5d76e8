"""Changes to files and folders that are still there after a power cut.

The kernel keeps new contents, names and renames in memory and writes them to
the disk seconds later, in an order of its own. After a power cut, a file may
therefore have its name and no contents, or an older name. The functions here
return when the change is on the disk.

References:
  Pillai et al., All File Systems Are Not Created Equal: On the Complexity of
  Crafting Crash-Consistent Applications, OSDI 2014.
"""
import errno
import os
import pathlib
import shutil

Path = str | os.PathLike[str]
# Some network file systems cannot sync a folder, and write it at once.
_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES)


def sync(path: Path) -> None:
  """Waits until the contents of a file, or the names in a folder, are on disk.

  Raises:
    OSError: If they cannot be written; they may then be lost.
  """
  try:
    descriptor = os.open(path, os.O_RDONLY)
    try:
      os.fsync(descriptor)
    finally:
      os.close(descriptor)
  except OSError as error:
    if error.errno not in _UNSUPPORTED or not os.path.isdir(path):
      raise


def sync_tree(folder: Path) -> None:
  """Waits until a folder is on disk, with everything in it."""
  for parent, _, names in os.walk(folder, topdown=False):
    for name in names:
      sync(os.path.join(parent, name))
    sync(parent)


def make_folder(path: Path) -> None:
  """Creates a folder and its parents, where they do not exist."""
  path = pathlib.Path(path)
  if path.is_dir():
    return
  make_folder(path.parent)
  path.mkdir(exist_ok=True)
  sync(path.parent)


def rename(source: Path, target: Path) -> None:
  """Renames a file or a folder; a file or an empty folder is replaced.

  The contents have to be on the disk before; see `sync` and `sync_tree`.
  """
  os.replace(source, target)
  parents = [os.path.dirname(os.path.abspath(p)) for p in (target, source)]
  for parent in dict.fromkeys(parents):
    sync(parent)


def remove_tree(folder: Path, aside: Path) -> None:
  """Deletes a folder: under its name, it is either complete or absent.

  Args:
    folder: The folder.
    aside: The name that it has while it is being deleted; if the process is
      killed, the remains have this name.
  """
  rename(folder, aside)
  shutil.rmtree(aside)
