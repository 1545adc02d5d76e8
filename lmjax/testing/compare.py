"""Compares trees of arrays and reports where they differ, and by how much."""
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import trees


def identical(what: str, got: Any, want: Any, why: str) -> None:
  """Raises AssertionError unless two trees hold exactly the same values.

  -0.0 equals 0.0. NaN differs from everything, NaN included, because a NaN may
  hide a difference.

  Args:
    what: Name of the quantity, the subject of the error's sentence.
    got: A tree of arrays.
    want: The expected tree.
    why: Sentences that say what a difference means and where to look.

  Raises:
    AssertionError: If trees differ; names the first leaf and place.

  Example:
    >>> identical('The loss', np.ones(2), np.ones(2), 'Look at the mask.')
  """
  for path, one, other in _pairs(what, got, want, why):
    differs = ~(one == other)
    if np.any(differs):
      raise AssertionError(_sentence(
          what, path, one, other, differs, 'should be identical', why))


def close(what: str, got: Any, want: Any, tolerance: float, why: str) -> None:
  """Raises AssertionError unless every leaf is within a relative tolerance.

  The error of a leaf is the Euclidean norm of the difference over the norm of
  the expected leaf, or over a thousandth of the largest leaf's norm if that is
  larger: some gradients, such as the gradient of a key's bias, are zero except
  for rounding errors.

  Args:
    what: Name of the quantity, the subject of the error's sentence.
    got: A tree of arrays.
    want: The expected tree.
    tolerance: Largest relative error.
    why: Sentences that say what a difference means and where to look.

  Raises:
    AssertionError: If an error exceeds the tolerance; names the worst leaf, its
      error, and its worst place.

  Example:
    >>> close('The loss', np.ones(2), np.ones(2) + 1e-7, 1e-5, 'Look there.')
  """
  pairs = list(_pairs(what, got, want, why))
  floor = 1e-3 * max(
      (float(np.linalg.norm(other)) for _, _, other in pairs), default=0.0)
  worst = None
  for path, one, other in pairs:
    size = max(float(np.linalg.norm(other)), floor, 1e-30)
    error = float(np.linalg.norm(one - other)) / size
    if not error <= tolerance and (worst is None or not error <= worst[0]):
      worst = error, path, one, other
  if worst is not None:
    error, path, one, other = worst
    apart = np.abs(one - other)
    differs = ~(apart < np.nanmax(apart)) if np.any(apart >= 0) else apart != 0
    raise AssertionError(_sentence(
        what, path, one, other, differs,
        f'should agree to {tolerance:.0e} but is {error:.1e} off (relative)',
        why))


def _pairs(what, got, want, why):
  got, want = dict(trees.items(got)), dict(trees.items(want))
  if got.keys() != want.keys():
    raise AssertionError(
        f'{what} should have the same structure; only one of the two has '
        f'{sorted(got.keys() ^ want.keys())[:4]}. {why}')
  for path in want:
    one, other = (_values(tree[path]) for tree in (got, want))
    if one.shape != other.shape:
      raise AssertionError(
          f'{what}{_at(path)} should have shape {other.shape}, got '
          f'{one.shape}. {why}')
    yield path, one, other


def _values(leaf: Any) -> np.ndarray:
  if hasattr(leaf, 'dtype') and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
    leaf = jax.random.key_data(leaf)
  leaf = np.asarray(leaf)
  whole = leaf.dtype == bool or np.issubdtype(leaf.dtype, np.integer)
  return leaf.astype(np.int64 if whole else np.float64)


def _at(path: str) -> str:
  return f' ({path})' if path else ''


def _sentence(what, path, one, other, differs, should, why):
  place = tuple(int(i) for i in np.argwhere(differs)[0]) if one.ndim else ()
  where = f' at index {list(place)}' if place else ''
  return (f'{what}{_at(path)} {should}: {int(np.sum(one != other))} of '
          f'{one.size} values differ;{where} it is {one[place]:.8g} instead of '
          f'{other[place]:.8g}. {why}')
