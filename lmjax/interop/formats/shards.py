"""Weights in several files, with an index that says which tensor is where.

The index is JSON: its `weight_map` maps the name of each tensor to the name of
a file in the same folder.
"""
from collections.abc import Callable
import os
import pathlib

from lmjax.core import errors
from lmjax.interop.formats import headers
from lmjax.interop.formats import mapped
from lmjax.interop.formats import snapshots
from lmjax.interop.formats import tensors

SUFFIX = '.index.json'


def open_weights(
    path: str | os.PathLike[str], name: str,
    open_file: Callable[[pathlib.Path], tensors.Tensors]) -> tensors.Tensors:
  """Opens a file, the shards of an index, or a folder with either.

  Args:
    path: The file, index or folder.
    name: The file's name in a folder; its index is called `name + SUFFIX`.
    open_file: Function that opens one file.

  Returns:
    The tensors by name, from all shards.

  Raises:
    InputError: If there is neither in the folder, or index and shards do not
      agree.
  """
  path = pathlib.Path(path)
  if path.is_dir():
    single, index = path / name, path / f'{name}{SUFFIX}'
    if not single.exists() and not index.exists():
      raise errors.InputError(
          f'{path} should hold {single.name} or {index.name}, but has neither.')
    path = snapshots.file(
        path, single.name if single.exists() else index.name)
  return (_open_index(path, open_file) if path.name.endswith(SUFFIX)
          else open_file(path))


def _open_index(path, open_file):
  """Opens all shards of an index."""
  where = _weight_map(path)
  files = {name: open_file(snapshots.file(path.parent, name))
           for name in sorted(set(where.values()))}
  found, homes = {}, {}
  for file, opened in files.items():
    for name in opened:
      if name in homes:
        raise errors.InputError(
            f'{path.parent} has the tensor {name[:100]!r} in two shards, '
            f'{homes[name]} and {file}; remove the one that is not from this '
            'model.')
      homes[name] = file
    found |= opened
  for name, file in where.items():
    if homes.get(name) != file:
      raise errors.InputError(
          f'{path} says that the tensor {name[:100]!r} is in {file}, but '
          f'{f"it is in {homes[name]}" if name in homes else "it is not"}; '
          'download or copy the index and its shards again.')
  return found


def _weight_map(path):
  """Returns the file of each tensor."""
  content = mapped.content(path)
  try:
    where = headers.read(content).get('weight_map')
    if not isinstance(where, dict) or not where or not all(
        isinstance(file, str) for file in where.values()):
      raise ValueError('its weight_map should map names to files')
  except ValueError as error:
    raise errors.InputError(
        f'{path} is not an index of weights: {error}.') from error
  return where
