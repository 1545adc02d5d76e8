"""Communication along a named axis of devices, or within groups of devices.

These functions are called on each device inside `pmap` or `shard_map`. A `pmap`
cannot be nested, so two kinds of parallelism use groups of its single axis: see
`grid`.
"""
from collections.abc import Sequence
import dataclasses
import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors


@dataclasses.dataclass(frozen=True)
class Axis:
  """The devices along a named axis, as one group or in groups of equal size.

  Attributes:
    name: The name of the axis in `pmap` or `shard_map`.
    groups: Numbers of the devices in each group; None for one group of all
      devices.
  """
  name: str
  groups: tuple[tuple[int, ...], ...] | None = None

  def __post_init__(self):
    if self.groups is None:
      return
    members = sorted(number for group in self.groups for number in group)
    if (members != list(range(len(members)))
        or len({len(group) for group in self.groups}) != 1):
      raise errors.InputError(
          f'The groups of axis {self.name!r} should be of one size and hold '
          f'each device from 0 on once; got {self.groups}.')

  @property
  def size(self) -> int:
    """The number of devices in a group."""
    count = jax.lax.axis_size(self.name)
    if self.groups is None:
      return count
    covered = sum(len(group) for group in self.groups)
    if covered != count:
      raise errors.InputError(
          f'The groups of axis {self.name!r} cover {covered} devices, but the '
          f'axis has {count}.')
    return len(self.groups[0])

  def index(self) -> jax.Array:
    """Returns this device's place in its group."""
    index = jax.lax.axis_index(self.name)
    if self.groups is None:
      return index
    return jnp.asarray(self.places, jnp.int32)[index]

  @property
  def places(self) -> tuple[int, ...]:
    """The place of each device in its group; empty if `groups` is None."""
    places = {number: place for group in self.groups or ()
              for place, number in enumerate(group)}
    return tuple(places[number] for number in sorted(places))

  def sum(self, tree: Any) -> Any:
    """Returns the sum over the group; its transpose sums too: see `fan_in`."""
    return jax.lax.psum(tree, self.name, axis_index_groups=self._groups())

  def shift(self, tree: Any) -> Any:
    """Returns the tree of the previous device in the group, cyclically."""
    size = self.size
    return self.send(tree, [(place + 1) % size for place in range(size)])

  def send(self, tree: Any, places: Sequence[int]) -> Any:
    """Sends each device's tree to another device of its group.

    Args:
      tree: The arrays to send.
      places: The destination of each place in the group; a permutation.
    """
    groups = self.groups or (tuple(range(self.size)),)
    return jax.lax.ppermute(tree, self.name, [
        (number, group[place]) for group in groups
        for number, place in zip(group, places)])

  def gather(self, x: jax.Array, axis: int) -> jax.Array:
    """Returns the arrays of all devices in the group, joined along an axis."""
    return jax.lax.all_gather(
        x, self.name, axis=axis, tiled=True, axis_index_groups=self._groups())

  def exchange(self, x: jax.Array, split: int, join: int) -> jax.Array:
    """Returns part i of every device's array on device i: an all-to-all.

    Args:
      x: The array.
      split: The axis along which the array is cut into one part per device.
      join: The axis along which the received parts are joined.
    """
    return jax.lax.all_to_all(
        x, self.name, split, join, tiled=True,
        axis_index_groups=self._groups())

  def _groups(self):
    return None if self.groups is None else [list(g) for g in self.groups]


def named(axis: str | Axis) -> Axis:
  """Returns the `Axis` of a name; an `Axis` is returned unchanged."""
  return Axis(axis) if isinstance(axis, str) else axis


def grid(name: str, **sizes: int) -> dict[str, Axis]:
  """Divides the single axis of a `pmap` into several; the last varies fastest.

  Args:
    name: The name of the axis in `pmap`.
    **sizes: The number of devices along each axis.

  Returns:
    For each keyword, the groups of devices that differ only along this axis.

  Example:
    >>> axes = grid('devices', data=2, model=2)
    >>> axes['model'].groups
    ((0, 1), (2, 3))
    >>> axes['data'].groups
    ((0, 2), (1, 3))
  """
  for key, size in sizes.items():
    if size < 1:
      raise errors.InputError(f'{key} should be at least 1 device; got {size}.')
  numbers = np.arange(math.prod(sizes.values())).reshape(*sizes.values())
  return {
      key: Axis(name, tuple(map(tuple, np.moveaxis(
          numbers, i, -1).reshape(-1, size).tolist())))
      for i, (key, size) in enumerate(sizes.items())}


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def fan_out(tree: Any, axis: Axis) -> Any:
  """Returns its argument; the gradient is summed over the devices.

  Apply it to arrays that every device of a group holds and uses for a part of
  the work, since each device has only its part of the gradient. Together with
  `fan_in` after the work, gradients equal those on one device. JAX's own rule
  would instead sum at `fan_in`: in `pmap`, and in `shard_map` with
  `check_vma=False`, the transpose of a sum is a sum, which multiplies gradients
  by the number of devices.

  Args:
    tree: Arrays, the same on each device of a group.
    axis: The devices that share the work.

  References:
    Shoeybi et al., Megatron-LM, arXiv:1909.08053, section 3: f in figure 3.
  """
  del axis
  return tree


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def fan_in(tree: Any, axis: Axis) -> Any:
  """Returns the sum over the devices; the gradient passes unchanged.

  Args:
    tree: Arrays, each device's part of a sum.
    axis: The devices that share the work.

  References:
    Shoeybi et al., Megatron-LM, arXiv:1909.08053, section 3: g in figure 3.
  """
  return axis.sum(tree)


fan_out.defvjp(lambda tree, axis: (tree, None),
               lambda axis, _, gradient: (axis.sum(gradient),))
fan_in.defvjp(lambda tree, axis: (axis.sum(tree), None),
              lambda axis, _, gradient: (gradient,))


def varying(x: jax.Array, *like: Any) -> jax.Array:
  """Returns x with a type that varies over all axes that `like` varies over.

  A loop that starts from zeros needs this in `shard_map` with `check_vma=True`,
  whose types include the axes that a value varies over. Elsewhere it does
  nothing.
  """
  for leaf in jax.tree.leaves(like):  # Only the type of this 0 is not constant.
    x += jnp.zeros_like(leaf.reshape(-1)[0], dtype=x.dtype)
  return x
