"""Fingerprints of arrays: what was saved is what was read, or who differs.

An item of a checkpoint is described as {path: {sha256, dtype, shape}}, which
is JSON. SHA-256 of array bytes, not of files, so that they outlive a change of
file format or topology.
"""
from collections.abc import Iterator, Mapping
import hashlib
from typing import Any

import numpy as np

from lmjax.core import trees

Description = Mapping[str, Mapping[str, Any]]


def describe(tree: Any) -> Description:
  """Returns the description of a tree of host arrays."""
  return {path: {'sha256': sha256(leaf), 'dtype': str(leaf.dtype),
                 'shape': list(leaf.shape)} for path, leaf in trees.items(tree)}


def sha256(array: np.ndarray) -> str:
  """Returns the SHA-256 of an array's bytes in C order, as hex."""
  data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
  return hashlib.sha256(data).hexdigest()


def damage(tree: Any, saved: Description) -> str | None:
  """Returns what is wrong with a tree that was described as `saved`."""
  found = dict(trees.items(tree))
  for path in saved:
    if path not in found:
      return f'array {path} is missing'
    if sha256(found[path]) != saved[path]['sha256']:
      return f'array {path}: digest mismatch'
  extra = sorted(found.keys() - saved.keys())
  return f'array {extra[0]} was never saved' if extra else None


def differences(saved: Description, wanted: Any) -> Iterator[str]:
  """Yields `path: saved -> wanted` where names, types or shapes differ.

  Args:
    saved: A description.
    wanted: A tree of arrays or their shapes.
  """
  def text(dtype, shape):
    return f'{dtype}{list(shape)}'

  old = {path: text(leaf['dtype'], leaf['shape'])
         for path, leaf in saved.items()}
  new = {path: text(leaf.dtype, leaf.shape)
         for path, leaf in trees.items(wanted)}
  for path in sorted(old | new):
    if old.get(path) != new.get(path):
      yield f'{path}: {old.get(path, "absent")} -> {new.get(path, "absent")}'


def batch(arrays: Mapping[str, np.ndarray]) -> str:
  """Returns 8 hex digits of the SHA-256 of a host batch.

  It goes into every row of a run's metrics: two runs that saw the same data
  have the same column.
  """
  sha = hashlib.sha256()
  for name in sorted(arrays):
    array = np.ascontiguousarray(arrays[name])
    sha.update(f'{name} {array.dtype} {array.shape};'.encode())
    sha.update(array)
  return sha.hexdigest()[:8]
