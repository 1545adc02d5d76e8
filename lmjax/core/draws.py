"""Random numbers that do not depend on the number of devices.

A device that holds some rows of a batch draws the same numbers for them as a
single device that holds the whole batch would. The bits of an element depend
only on the key and on its index in the whole array, so a part of the array
costs only its share of the work. XLA does this by itself where it partitions a
program. For code that runs per device, such as inside `jax.shard_map`,
`divided` declares which part of each axis is on this device.
"""
from collections.abc import Callable, Iterator, Mapping, Sequence
import contextlib
import contextvars
import math
from typing import Any, Protocol

from flax import struct
import jax
from jax.extend import random as extend_random
import jax.numpy as jnp
import numpy as np


class Devices(Protocol):
  """Devices that divide an axis into equal parts, in the order of devices."""
  size: int

  def index(self) -> jax.Array:
    """Returns the index of this device among them."""


@struct.dataclass
class Places:
  """The elements of a divided axis that are on this device.

  Attributes:
    index_N: Their indices in the whole axis.
    total: The length of the whole axis.
  """
  index_N: jax.Array
  total: int = struct.field(pytree_node=False)


# From the meaning of an axis to the devices that divide it, given as one or
# several names of mapped axes or as `Devices`, or to the elements themselves.
Parts = Mapping[str, str | tuple[str, ...] | Devices | Places]
# The meanings of the axes of attention's weights, [B, K, G, T, S].
ATTENTION = 'rows', 'heads', None, 'queries', 'keys'

_PARTS = contextvars.ContextVar('parts', default={})
_EVERY = 'every'


@contextlib.contextmanager
def divided(**parts: Any) -> Iterator[None]:
  """Makes draws inside the block the draws for one part of the whole array.

  Args:
    **parts: For each meaning of an axis, such as 'rows' or 'heads', the part
      that is on this device: see `Parts`. None or () leaves it unchanged.
  """
  named = {name: part for name, part in parts.items() if part not in (None, ())}
  token = _PARTS.set(_PARTS.get() | named)
  try:
    yield
  finally:
    _PARTS.reset(token)


@contextlib.contextmanager
def every(count: int, index: jax.Array) -> Iterator[None]:
  """Makes the rows inside the block every `count`-th row, from row `index` on.

  It serves code that processes a batch in parts, one after another: the draws
  for a row do not depend on the number of parts. Devices may divide each part.
  """
  token = _PARTS.set(_PARTS.get() | {_EVERY: (count, index)})
  try:
    yield
  finally:
    _PARTS.reset(token)


def bernoulli(key: jax.Array, p: float, shape: Sequence[int],
              axes: Sequence[str | None] = ('rows',)) -> jax.Array:
  """Returns this device's part of `jax.random.bernoulli` on the whole array.

  Args:
    key: Typed key, the same on every device.
    p: Probability of True.
    shape: The shape of this device's part.
    axes: The meanings of the leading axes; None if an axis is never divided.
  """
  places = [_places(name, size) for name, size in zip(axes, shape)]
  places += [None] * (len(shape) - len(places))
  if all(place is None for place in places):
    return jax.random.bernoulli(key, p, shape)
  indices = [place or _all(size) for place, size in zip(places, shape)]
  if not _is_counted(key):
    return _taken(jax.random.bernoulli(
        key, p, [index.total for index in indices]), indices)
  bits = _bits(key, indices)
  # `jax.random.uniform` makes a float32 from 32 bits in this way.
  one = jnp.float32(1.0).view(jnp.uint32)
  return jax.lax.bitcast_convert_type(
      bits >> 9 | one, jnp.float32) - 1.0 < jnp.float32(p)


def of_rows(draw: Callable[[int], jax.Array], rows: int) -> jax.Array:
  """Returns this device's rows of a draw for all rows.

  Every device draws the whole array, so the array should be small.

  Args:
    draw: Function from a number of rows to an array with this many rows.
    rows: The number of rows on this device.

  Example:
    >>> key = jax.random.key(0)
    >>> of_rows(lambda rows: jax.random.uniform(key, (rows, 2)), 3).shape
    (3, 2)
  """
  place = _places('rows', rows)
  if place is None:
    return draw(rows)
  return jnp.take(draw(place.total), place.index_N, axis=0)


def here(meaning: str, size: int) -> Places:
  """Returns which elements of an axis are on this device.

  Args:
    meaning: The axis's meaning, such as 'rows'.
    size: The number of elements on this device.
  """
  return _places(meaning, size) or _all(size)


def _places(name, size):
  """Returns the elements of an axis that are here; None stands for all."""
  parts = _PARTS.get()
  found = _shared(parts.get(name), size)
  if name != 'rows' or _EVERY not in parts or isinstance(
      parts.get(name), Places):
    return found
  (count, index), found = parts[_EVERY], found or _all(size)
  return Places(found.index_N * np.uint32(count) + jnp.asarray(
      index, jnp.uint32), found.total * count)


def _all(size):
  return Places(jnp.arange(size, dtype=jnp.uint32), size)


def _shared(part, size):
  """Returns the elements on this device of an axis that devices divide."""
  if part is None or isinstance(part, Places):
    return part
  if isinstance(part, str | tuple):
    index, count = jax.lax.axis_index(part), jax.lax.axis_size(part)
  else:
    index, count = part.index(), part.size
  first = jnp.asarray(index, jnp.uint32) * np.uint32(size)
  return Places(first + jnp.arange(size, dtype=jnp.uint32), size * count)


def _is_counted(key) -> bool:
  """Returns whether JAX computes an element's bits from key and index alone."""
  return (jax.config.jax_threefry_partitionable
          and not jax.config.jax_enable_x64
          and str(jax.random.key_impl(key)) == 'threefry2x32')


def _bits(key, indices):
  """Returns the 32 random bits of each element, the same as JAX draws.

  References:
    Salmon et al., Parallel Random Numbers: As Easy as 1, 2, 3, 2011 (Threefry).
  """
  high = low = jnp.zeros((1,) * len(indices), jnp.uint32)
  stride = math.prod(index.total for index in indices)
  for axis, index in enumerate(indices):
    stride //= index.total
    shape = [1] * len(indices)
    shape[axis] = -1
    more_high, more_low = (x.reshape(shape) for x in _product(
        index.index_N.astype(jnp.uint32), stride))
    low = low + more_low
    high = high + more_high + (low < more_low)  # The carry.
  first, second = jax.random.key_data(key)
  bits = extend_random.threefry2x32_p.bind(
      first, second, jnp.broadcast_to(high, low.shape), low)
  return bits[0] ^ bits[1]


def _product(x_N, factor):
  """Returns the high and low 32 bits of `x_N` times a factor below 2^64."""
  high, low = np.uint32(factor >> 32), factor & 0xffffffff
  left, right = np.uint32(low >> 16), np.uint32(low & 0xffff)
  x_high_N, x_low_N = x_N >> 16, x_N & 0xffff
  middle_N = x_low_N * left
  other_N = x_high_N * right
  carry_N = ((x_low_N * right) >> 16) + (middle_N & 0xffff) + (
      other_N & 0xffff)
  high_N = (x_high_N * left + (middle_N >> 16) + (other_N >> 16)
            + (carry_N >> 16) + x_N * high)
  return high_N, x_N * np.uint32(low)


def _taken(x, indices):
  for axis, index in enumerate(indices):
    x = jnp.take(x, index.index_N, axis=axis)
  return x
