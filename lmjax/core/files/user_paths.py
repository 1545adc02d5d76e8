"""Paths as users write them, with `~` for a home folder.

A shell expands `~` at the start of a word only, so a script reads
`--workdir=~/lm` and `--config.data.source.paths=a.txt,~/b.txt` as they are
typed. Flags with a path are defined by `cli.path_flag`, and fields with one
have the type `Path`. Both are then expanded as a shell would, so that a config
names the files that were read, whoever opens the run. A `$` is an ordinary
character.
"""
import dataclasses
import os
import pathlib
import typing
from typing import Annotated, Any, TypeVar

from lmjax.core import config as config_lib
from lmjax.core import errors

Path = Annotated[str, 'path']
T = TypeVar('T')


def expand(path: str, name: str = 'path') -> str:
  """Returns a path with `~` or `~user` at its start replaced by the folder.

  Args:
    path: The path.
    name: The name of the flag or field in messages.

  Raises:
    InputError: If there is no such user.

  Example:
    >>> expand('~/lm') == os.path.join(os.path.expanduser('~'), 'lm')
    True
    >>> expand('runs/~'), expand('./~'), expand('$HOME/lm')
    ('runs/~', './~', '$HOME/lm')
  """
  if not path.startswith('~'):
    return path
  expanded = os.path.expanduser(path)
  if expanded.startswith('~'):
    raise errors.InputError(
        f'{name} is {path!r}, but there is no user '
        f'{path[1:].partition(os.sep)[0]!r}; write ./{path} for a file of that '
        'name.')
  return expanded


def expanded(config: T, path: str = 'config') -> T:
  """Returns a config whose fields of the type `Path` are expanded.

  Args:
    config: A tree of frozen dataclasses.
    path: The name of the root in messages.

  Raises:
    InputError: If a path names a user that does not exist.
  """
  known = typing.get_type_hints(type(config), include_extras=True)
  changes = {}
  for field in dataclasses.fields(config):
    old = getattr(config, field.name)
    new = _expanded(old, known[field.name], f'{path}.{field.name}')
    if new != old:
      changes[field.name] = new
  return dataclasses.replace(config, **changes) if changes else config


def is_path(hint: Any) -> bool:
  """Returns whether a type, with its annotations, is a path or has paths."""
  return hint == Path or any(map(is_path, (
      typing.get_args(listed) if (listed := config_lib.tuple_of(hint))
      else [m for m in config_lib.members(hint) if m is not hint])))


def _expanded(value: Any, hint: Any, path: str) -> Any:
  if dataclasses.is_dataclass(value):
    return expanded(value, path)
  if isinstance(value, tuple) and config_lib.tuple_of(hint):
    items = config_lib.item_hints(config_lib.tuple_of(hint), len(value))
    return tuple(_expanded(item, item_hint, f'{path}.{index}')
                 for index, (item, item_hint) in enumerate(zip(value, items)))
  return expand(value, path) if isinstance(value, str) and is_path(
      hint) else value


def check_free(path: str | os.PathLike[str], flag: str) -> None:
  """Checks that a folder to be made does not exist yet, or is empty.

  Args:
    path: The folder.
    flag: The flag that names it, such as '--to'.

  Raises:
    InputError: If there is something.
  """
  path = pathlib.Path(path)
  if path.exists() and not (path.is_dir() and not any(path.iterdir())):
    raise errors.InputError(
        f'{path} should not exist yet, or be an empty folder, but it holds '
        f'files; give another {flag}.')
