"""Saves models that consist of tables as .npz files, which are checked on load.
"""
from collections.abc import Mapping
import hashlib
import json
import math
import pathlib
from typing import Any
import zipfile

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import strict_json

_VERSION = 1  # The version of the files; `load` accepts no other.


def digest(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
  """Returns the SHA-256 of facts, which are JSON types, and named arrays."""
  sha = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
  for name, array in sorted(arrays.items()):
    array = np.ascontiguousarray(array)
    sha.update(f'{name} {array.dtype.str} {array.shape}'.encode())
    sha.update(array.reshape(-1).view(np.uint8))
  return sha.hexdigest()


def save(path: str | pathlib.Path, kind: str, facts: Mapping[str, Any],
         arrays: Mapping[str, np.ndarray]) -> None:
  """Writes a model to one .npz file.

  Args:
    path: The file to write; no suffix is added.
    kind: The kind of the model, which `load` checks.
    facts: All other values that define the model, as JSON types.
    arrays: The model's tables, by name.
  """
  header = {'version': _VERSION, 'kind': kind, 'facts': facts,
            'digest': digest(facts, arrays)}
  with atomic.opened(path, 'wb') as file:  # np.savez would add a suffix.
    np.savez(file, header=json.dumps(header), **arrays)


def load(path: str | pathlib.Path,
         kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Returns the facts and arrays that `save` wrote.

  Raises:
    InputError: If the file does not exist, is of another kind, or is damaged.
  """
  try:
    _check_archive(path)
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
    header = strict_json.loads(str(arrays.pop('header')))
    if header['version'] != _VERSION:
      raise ValueError(f'its version is {header["version"]}, not {_VERSION}')
    if header['kind'] != kind:
      raise ValueError(f'it holds an {header["kind"]}')
    if digest(header['facts'], arrays) != header['digest']:
      raise ValueError('its digest does not match')
  except Exception as error:  # NumPy's parsers raise many kinds of errors.
    raise errors.InputError(
        f'{str(path)!r} holds no intact {kind} ({error}); fit it and save it '
        'again.') from None
  return header['facts'], arrays


def _check_archive(path) -> None:
  """Raises ValueError if loading a file takes more memory than its size."""
  with zipfile.ZipFile(path) as archive:
    parts = archive.infolist()
    if len({part.filename for part in parts}) < len(parts):
      raise ValueError('a table comes twice')
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
      raise ValueError('a table is compressed')
    if sum(part.file_size for part in parts) > pathlib.Path(
        path).stat().st_size:
      raise ValueError('tables overlap')
    for part in parts:
      with archive.open(part) as file:
        version = np.lib.format.read_magic(file)
        shape, _, dtype = (
            np.lib.format.read_array_header_1_0(file) if version == (1, 0)
            else np.lib.format.read_array_header_2_0(file))
        if math.prod(shape) * dtype.itemsize > part.file_size:
          raise ValueError(f'{part.filename} is shorter than it says')
