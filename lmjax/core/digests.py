"""SHA-256 digests of arrays, which show whether saved data has changed.

A checkpoint item is described as {path: {sha256, dtype, shape}}, which is JSON.
Digests are taken of array bytes, not of files, so that they stay valid when the
file format or the topology changes.
"""
from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
import hashlib
import json
import os
from typing import Any

import numpy as np

from lmjax.core import trees

Description = Mapping[str, Mapping[str, Any]]
_PIECE = 64 << 20  # Bytes: large arrays are hashed by several threads.


def describe(tree: Any) -> Description:
  """Returns the description of a tree of host arrays."""
  leaves = dict(trees.items(tree))
  return {path: {'sha256': digest, 'dtype': str(leaf.dtype),
                 'shape': list(leaf.shape)}
          for (path, leaf), digest in zip(
              leaves.items(), _sha256s(leaves.values()))}


def kinds(tree: Any) -> Description:
  """Returns dtype and shape of each array of a tree, without its digest."""
  return {path: {'dtype': str(leaf.dtype), 'shape': list(leaf.shape)}
          for path, leaf in trees.items(tree)}


def sha256(array: np.ndarray) -> str:
  """Returns the SHA-256 of an array's bytes in C order, as hex.

  An array above 64 MiB is cut into pieces of 64 MiB, and the result is the
  SHA-256 of the pieces' digests (32 bytes each).
  """
  return next(_sha256s([array]))


def damage(tree: Any, saved: Description, prefix: str = '') -> str | None:
  """Returns the first difference of a tree from its description, or None.

  Args:
    tree: Host arrays.
    saved: The description of the arrays when they were saved.
    prefix: Text before each path in the returned sentence.
  """
  found = dict(trees.items(tree))
  for path in saved:
    if path not in found:
      return f'array {prefix}{path}: missing'
  for path in found:
    if path not in saved:
      return f'array {prefix}{path}: was never saved'
  for path, text in _changes(saved, describe(tree)):
    return f'array {prefix}{path}: {text}'
  return None


def differences(saved: Description, wanted: Any) -> Iterator[str]:
  """Yields `path: saved -> wanted` where names, types or shapes differ.

  Args:
    saved: A description.
    wanted: A tree of arrays or their shapes.
  """
  old = {path: _kind(leaf) for path, leaf in saved.items()}
  new = {path: _kind(leaf) for path, leaf in kinds(wanted).items()}
  for path in sorted(old | new):
    if old.get(path) != new.get(path):
      yield f'{path}: {old.get(path, "absent")} -> {new.get(path, "absent")}'


def batch(arrays: Mapping[str, np.ndarray], first: int = 0) -> str:
  """Returns a digest of a host batch, as 8 hex digits.

  A run writes it with the metrics of every step, so that two runs with the same
  data have the same column. To make it independent of the number of processes,
  it is a sum over rows of the SHA-256 of a row and its number; see `joined`.

  Args:
    arrays: Arrays [B, ...], all with the same number of rows.
    first: Number of the first row, if these are only part of a batch.
  """
  arrays = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
  kinds = ''.join(f'{name} {array.dtype} {array.shape[1:]};'
                  for name, array in arrays.items()).encode()
  total = 0
  for row, parts in enumerate(zip(*arrays.values(), strict=True)):
    sha = hashlib.sha256(kinds + (first + row).to_bytes(8, 'little'))
    for part in parts:
      sha.update(part.tobytes())
    total += int.from_bytes(sha.digest()[:4], 'little')
  return f'{total % 2**32:08x}'


def joined(parts: Sequence[str]) -> str:
  """Returns the digest of a batch, computed from the digests of its parts.

  Args:
    parts: The digests of the parts. Parts with the same rows have the same
      digest and are counted once.
  """
  if len(parts) == 1:
    return parts[0]
  return f'{sum(int(part, 16) for part in set(parts)) % 2**32:08x}'


def signed(facts: Mapping[str, Any]) -> dict[str, Any]:
  """Returns JSON facts together with their SHA-256, under 'sha256'.

  Raises:
    TypeError: If the facts cannot be written as JSON.
  """
  facts = json.loads(json.dumps(facts))  # Tuples become lists, as when read.
  return facts | {'sha256': _sha256_of_json(facts)}


def is_intact(facts: Any) -> bool:
  """Returns whether the facts are exactly as `signed` returned them."""
  if not isinstance(facts, dict):
    return False
  rest = {key: value for key, value in facts.items() if key != 'sha256'}
  return facts.get('sha256') == _sha256_of_json(rest)


def _kind(leaf):
  return f'{leaf["dtype"]}{list(leaf["shape"])}'


def _changes(saved, now):
  """Yields (path, how the array changed): dtypes and shapes first, then bytes.
  """
  for path in saved:
    if _kind(saved[path]) != _kind(now[path]):
      yield path, f'{_kind(saved[path])} became {_kind(now[path])}'
  for path in saved:
    if saved[path]['sha256'] != now[path]['sha256']:
      yield path, 'digest mismatch'


def _sha256_of_json(facts):
  return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _sha256s(arrays):
  """Yields digests in order; uses threads, since hashlib releases the GIL."""
  with futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    pending = []
    for array in arrays:
      data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
      pending.append([
          pool.submit(hashlib.sha256, data[start:start + _PIECE])
          for start in range(0, max(data.size, 1), _PIECE)])
    for pieces in pending:
      first, *rest = [piece.result() for piece in pieces]
      if rest:
        first = hashlib.sha256(
            b''.join(piece.digest() for piece in (first, *rest)))
      yield first.hexdigest()
