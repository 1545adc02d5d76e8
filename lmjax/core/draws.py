"""Random numbers that do not depend on how many devices draw them.

A device that holds some rows of a batch draws, for these, what one device would
draw for all: the bits of an element depend on the key and on its index in the
whole array alone, and can be had for a part at the cost of that part. A
compiler that divides a program does so by itself. Code that runs on each device
is told here, by who divides it, which part of the whole it has.
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
  """Devices that share an axis, equally and in their order."""
  size: int

  def index(self) -> jax.Array:
    """Returns which of them this one is."""


@struct.dataclass
class Places:
  """Which elements of a divided axis are here.

  Attributes:
    index_N: Their indices in the whole axis.
    total: How long that is.
  """
  index_N: jax.Array
  total: int = struct.field(pytree_node=False)


# What an axis means -> who shares it: the name of a mapped axis, or several, or
# what has an index and a size; or the places themselves.
Parts = Mapping[str, str | tuple[str, ...] | Devices | Places]
# What the axes of attention's weights, [B, K, G, T, S], mean.
ATTENTION = 'rows', 'heads', None, 'queries', 'keys'

_PARTS = contextvars.ContextVar('parts', default={})
_EVERY = 'every'


@contextlib.contextmanager
def divided(**parts: Any) -> Iterator[None]:
  """Lets draws inside be those of a part of the whole.

  Args:
    **parts: For each meaning of an axis, such as 'rows' or 'heads', which part
      of it is on this device: see `Parts`. None or () leaves it as it was.
  """
  named = {name: part for name, part in parts.items() if part not in (None, ())}
  token = _PARTS.set(_PARTS.get() | named)
  try:
    yield
  finally:
    _PARTS.reset(token)


@contextlib.contextmanager
def every(count: int, index: jax.Array) -> Iterator[None]:
  """Lets rows inside be every `count`-th of a batch, from `index` on.

  For parts of a batch, one after another: what is drawn for a row does not
  depend on how many parts there are. Devices may divide each part.
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
    shape: Of the part.
    axes: What the leading axes mean; None for one that is never divided.
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
  # As `jax.random.uniform` makes a float32 of 32 bits.
  one = jnp.float32(1.0).view(jnp.uint32)
  return jax.lax.bitcast_convert_type(
      bits >> 9 | one, jnp.float32) - 1.0 < jnp.float32(p)


def of_rows(draw: Callable[[int], jax.Array], rows: int) -> jax.Array:
  """Returns this device's rows of what is drawn for all.

  For what is small: every device draws the whole.

  Args:
    draw: Draws for so many rows, along the first axis.
    rows: How many this device has.

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
    meaning: Of the axis.
    size: How many of them are here.
  """
  return _places(meaning, size) or _all(size)


def _places(name, size):
  """Returns which of a meaning's elements are here; None: all there are."""
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
  """Returns which elements are here of an axis that devices share."""
  if part is None or isinstance(part, Places):
    return part
  if isinstance(part, str | tuple):
    index, count = jax.lax.axis_index(part), jax.lax.axis_size(part)
  else:
    index, count = part.index(), part.size
  first = jnp.asarray(index, jnp.uint32) * np.uint32(size)
  return Places(first + jnp.arange(size, dtype=jnp.uint32), size * count)


def _is_counted(key) -> bool:
  """Returns whether bits are functions of 32 bits of key and an index."""
  return (jax.config.jax_threefry_partitionable
          and not jax.config.jax_enable_x64
          and str(jax.random.key_impl(key)) == 'threefry2x32')


def _bits(key, indices):
  """Returns 32 bits for each element, as JAX draws them.

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
  """Returns the high and low 32 bits of products with a number below 2^64."""
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
