"""Paths built from untrusted names, which must not lead out of their folder."""
import os
import pathlib
import stat

from lmjax.core import errors


def safe_join(root: str | os.PathLike[str], name: str) -> pathlib.Path:
  """Returns `root / name` if it lies within `root`.

  The path need not exist. If it does, it must be a file or a folder, since
  reading a pipe or a device may never end. Links are followed before the check.

  Args:
    root: A folder that the user named; it may itself be a link.
    name: A name from an artefact, or a relative path with slashes.

  Raises:
    InputError: If the name is empty, absolute, contains '..', a NUL or a
      backslash, leads out of `root`, or is no file or folder.
  """
  problem = _problem_of_name(name)
  if problem is None:
    problem = _problem_of_place(pathlib.Path(root), pathlib.Path(root, name))
  if problem is not None:
    raise errors.InputError(
        f'{name!r} is not a name within {os.fspath(root)!r}: it {problem}. '
        'Nothing was read; if the files are yours, copy the file or folder it '
        'refers to into that folder.')
  return pathlib.Path(root, name)


def check_tree(root: str | os.PathLike[str], name: str) -> None:
  """Checks that everything below `root / name` lies within `root`.

  It is meant for folders that are passed to a library, which would follow every
  link. The rules are those in `safe_join`.

  Raises:
    InputError: If a path does not; the message names the first.
  """
  top = safe_join(root, name)
  for folder, folders, files in os.walk(top):
    for each in (*folders, *files):
      path = os.path.join(folder, each)
      mode = os.lstat(path).st_mode
      if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        safe_join(root, os.path.relpath(path, root))


def _problem_of_name(name: str) -> str | None:
  """Returns what is wrong with a name, independent of its root."""
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
    return None  # It does not exist yet.
  except (OSError, RuntimeError, ValueError) as error:  # A loop of links, ...
    return f'cannot be followed ({getattr(error, "strerror", None) or error})'
  if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
    return 'is a device, a pipe or a socket'
  return None
