"""Communication along a named axis of devices, or within groups of it.

For code that runs on each device inside `pmap` or `shard_map`. A `pmap` cannot
be nested, so two kinds of parallelism share its one axis by groups: see `grid`.
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
  """The devices along a named axis, all together or in groups of equal size.

  Attributes:
    name: What `pmap` or `shard_map` calls the axis.
    groups: Numbers of the devices in each group; None is one group of all.
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
    """How many devices a group has."""
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
    """Each device's place in its group, where there are groups."""
    places = {number: place for group in self.groups or ()
              for place, number in enumerate(group)}
    return tuple(places[number] for number in sorted(places))

  def sum(self, tree: Any) -> Any:
    """Returns the sum over the group; its transpose sums again: see `fan_in`.
    """
    return jax.lax.psum(tree, self.name, axis_index_groups=self._groups())

  def shift(self, tree: Any) -> Any:
    """Returns what the device before this one in its group holds, cyclically.
    """
    size = self.size
    return self.send(tree, [(place + 1) % size for place in range(size)])

  def send(self, tree: Any, places: Sequence[int]) -> Any:
    """Sends what each device of a group holds to another place in it.

    Args:
      tree: What is sent.
      places: Where each place sends to; each is sent to once.
    """
    groups = self.groups or (tuple(range(self.size)),)
    return jax.lax.ppermute(tree, self.name, [
        (number, group[place]) for group in groups
        for number, place in zip(group, places)])

  def gather(self, x: jax.Array, axis: int) -> jax.Array:
    """Returns the group's arrays side by side along an axis."""
    return jax.lax.all_gather(
        x, self.name, axis=axis, tiled=True, axis_index_groups=self._groups())

  def exchange(self, x: jax.Array, split: int, join: int) -> jax.Array:
    """Returns part i of every device's array on device i: an all-to-all.

    Args:
      x: The array.
      split: The axis along which it is cut into as many parts as devices.
      join: The axis along which the parts received lie side by side.
    """
    return jax.lax.all_to_all(
        x, self.name, split, join, tiled=True,
        axis_index_groups=self._groups())

  def _groups(self):
    return None if self.groups is None else [list(g) for g in self.groups]


def named(axis: str | Axis) -> Axis:
  """Returns the axis of that name, or itself."""
  return Axis(axis) if isinstance(axis, str) else axis


def grid(name: str, **sizes: int) -> dict[str, Axis]:
  """Lays several axes over the one axis of a `pmap`, the last one fastest.

  Args:
    name: What `pmap` calls its axis.
    **sizes: How many devices along each axis.

  Returns:
    For each keyword the groups of devices that differ in this axis alone.

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
  """Returns its argument, whose gradient is summed over the devices.

  For what every device of a group holds and uses for a part of the work: each
  knows only its part's gradient. With `fan_in` behind the work, gradients are
  those of one device. JAX's own rule would sum once more at the end and not
  here: in `pmap`, and in `shard_map` with `check_vma=False`, the transpose of
  a sum is a sum, and gradients come out multiplied by the number of devices.

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
  """Returns the sum over the devices, whose gradient passes unchanged.

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
  """Returns x, typed as differing between devices wherever `like` does.

  A loop that starts from zeros needs this in `shard_map` with `check_vma=True`,
  which distinguishes the two in types; elsewhere it does nothing.
  """
  for leaf in jax.tree.leaves(like):  # Only the type of this 0 is not constant.
    x += jnp.zeros_like(leaf.reshape(-1)[0], dtype=x.dtype)
  return x
