"""Parameter trees: readable paths, counts, patterns and digests."""
from collections.abc import Callable, Iterable, Iterator, Sequence
import hashlib
import re
from typing import Any

import jax
import numpy as np

from lmjax.core import errors


def path_of(key_path: tuple[Any, ...]) -> str:
  """Returns a JAX key path as `layer_0/mixer/query/kernel`."""
  return jax.tree_util.keystr(key_path, simple=True, separator='/')


def items(tree: Any) -> Iterator[tuple[str, Any]]:
  """Yields (path, leaf) in the order of `jax.tree.leaves`."""
  for key_path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
    yield path_of(key_path), leaf


def map_paths(function: Callable[[str, Any], Any], tree: Any) -> Any:
  """Maps `function(path, leaf)` over a tree."""
  return jax.tree_util.tree_map_with_path(
      lambda key_path, leaf: function(path_of(key_path), leaf), tree)


def nested(leaves: Iterable[tuple[str, Any]]) -> dict[str, Any]:
  """Returns leaves as nested dicts, with one level for each part of a path.

  Args:
    leaves: Pairs (path, leaf), such as those from `items`.

  Example:
    >>> nested({'mlp/in/kernel': 1, 'mlp/out/kernel': 2}.items())
    {'mlp': {'in': {'kernel': 1}, 'out': {'kernel': 2}}}
  """
  root: dict[str, Any] = {}
  for path, leaf in leaves:
    *parents, name = path.split('/')
    node = root
    for parent in parents:
      node = node.setdefault(parent, {})
    node[name] = leaf
  return root


def count(tree: Any) -> int:
  """Returns the total number of elements of all leaves.

  A leaf is an array or a `jax.ShapeDtypeStruct`.
  """
  return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(tree))


def match(tree: Any, rules: Sequence[tuple[str, Any]]) -> Any:
  """Returns a tree in which each leaf is the value of the first rule to match.

  Args:
    tree: Any tree.
    rules: Pairs of a regular expression, which is searched for in the path of
      each leaf, and a value. `('.*', value)` at the end covers the rest.

  Raises:
    InputError: If a leaf matches no rule, or a rule is the first match of no
      leaf.
  """
  used = set()

  def first(path, _):
    for pattern, value in rules:
      if re.search(pattern, path):
        used.add(pattern)
        return value
    raise errors.InputError(
        f'No rule covers parameter {path!r}; the rules are '
        f'{[pattern for pattern, _ in rules]}. End them with (".*", value).')

  matched = map_paths(first, tree)
  for pattern, _ in rules:
    if pattern not in used and pattern != '.*':
      some = ', '.join(path for path, _ in list(items(tree))[:4])
      raise errors.InputError(
          f'Pattern {pattern!r} matches no parameter that earlier patterns do '
          f'not match already; the parameters are {some}, ...')
  return matched


def digest(tree: Any) -> str:
  """Returns the SHA-256 over paths, dtypes, shapes and bytes of all leaves."""
  sha = hashlib.sha256()
  for path, leaf in items(jax.device_get(tree)):
    leaf = np.ascontiguousarray(leaf)
    sha.update(f'{path}:{leaf.dtype}:{leaf.shape};'.encode())
    sha.update(leaf.tobytes())
  return sha.hexdigest()
