"""Paths made of names that somebody else chose: never out of their folder."""
import os
import pathlib
import stat

from lmjax.core import errors


def safe_join(root: str | os.PathLike[str], name: str) -> pathlib.Path:
  """Returns `root / name`, if that is a place within `root`.

  What need not exist yet may be named; what exists is a file or a folder, for
  to read a pipe or a device may never end. Links count as where they lead.

  Args:
    root: A folder that the user named; it may itself be a link.
    name: What an artefact says: a name, or a relative path with slashes.

  Raises:
    InputError: On a name that is empty, absolute, has a '..', a NUL or a
      backslash, or leads out of `root`.
  """
  problem = _problem_of_name(name)
  if problem is None:
    problem = _problem_of_place(pathlib.Path(root), pathlib.Path(root, name))
  if problem is not None:
    raise errors.InputError(
        f'{name!r} is not a name within {os.fspath(root)!r}: it {problem}. '
        'Nothing was read; if the files are yours, copy what it stands for '
        'into the folder.')
  return pathlib.Path(root, name)


def check_tree(root: str | os.PathLike[str], name: str) -> None:
  """Sees that all below `root / name` lies within `root`, as `safe_join` does.

  For folders that a library reads, which would follow every link.

  Raises:
    InputError: Naming the first that does not.
  """
  top = safe_join(root, name)
  for folder, folders, files in os.walk(top):
    for each in (*folders, *files):
      path = os.path.join(folder, each)
      mode = os.lstat(path).st_mode
      if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        safe_join(root, os.path.relpath(path, root))


def _problem_of_name(name: str) -> str | None:
  """Returns what is wrong with a name, wherever it may be."""
  if not isinstance(name, str):
    return 'is not a text'
  if not name.strip() or name in ('.', './'):
    return 'is empty'
  if '\0' in name:
    return 'has a NUL character'
  if name.startswith('/') or pathlib.PureWindowsPath(name).drive:
    return 'is absolute'
  if '\\' in name:
    return 'has a backslash'
  if '..' in name.split('/'):
    return "has a '..'"
  return None


def _problem_of_place(root: pathlib.Path, path: pathlib.Path) -> str | None:
  """Returns what is wrong with where a path leads."""
  try:
    real = path.resolve()
    if not real.is_relative_to(root.resolve()):
      return 'is a link that leads out of it'
    mode = real.stat().st_mode
  except FileNotFoundError:
    return None  # Yet to be made.
  except (OSError, RuntimeError, ValueError) as error:  # A loop of links, ...
    return f'cannot be followed ({getattr(error, "strerror", None) or error})'
  if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
    return 'is a device, a pipe or a socket'
  return None
