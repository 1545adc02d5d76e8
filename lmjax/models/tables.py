"""Models that are tables of numbers: one .npz file each, checked when read."""
from collections.abc import Mapping
import hashlib
import json
import pathlib
from typing import Any
import zipfile
import zlib

import numpy as np

from lmjax.core import errors

_VERSION = 1  # Of the files; another version is refused.


def digest(facts: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
  """Returns the SHA-256 over facts, which are JSON, and arrays, by name."""
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
    path: Where; the name is taken as it is.
    kind: What sort of model it is, as `load` will ask.
    facts: What else defines it, as JSON types.
    arrays: Its tables, by name.
  """
  header = {'version': _VERSION, 'kind': kind, 'facts': facts,
            'digest': digest(facts, arrays)}
  with open(path, 'wb') as file:  # np.savez would add a suffix to a name.
    np.savez(file, header=json.dumps(header), **arrays)


def load(path: str | pathlib.Path,
         kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
  """Returns the facts and arrays that `save` wrote.

  Raises:
    InputError: If there are none, of another kind, or not whole.
  """
  try:
    with np.load(path, allow_pickle=False) as file:
      arrays = {name: file[name] for name in file.files}
    header = json.loads(str(arrays.pop('header')))
    if header['version'] != _VERSION:
      raise ValueError(f'its version is {header["version"]}, not {_VERSION}')
    if header['kind'] != kind:
      raise ValueError(f'it holds an {header["kind"]}')
    if digest(header['facts'], arrays) != header['digest']:
      raise ValueError('its digest does not match')
  except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError,
          zipfile.BadZipFile, zlib.error) as error:
    raise errors.InputError(
        f'{str(path)!r} holds no intact {kind} ({error}); fit it and save it '
        'again.') from None
  return header['facts'], arrays
