"""Caches: the state that layers and models keep of the tokens they have read.

An attention cache is any object with the method `extend` of `Contiguous`. The
tokens of a row are numbered in the order in which they were read; this number
is the token's slot. Rows may have read different numbers of tokens. A cache may
store a slot anywhere: it returns the slot of each key, and the mask uses the
positions of the keys, not their order.
"""
from typing import Any, NamedTuple

from flax import struct
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.nn import masks


class Keys(NamedTuple):
  """The keys and values that T new tokens can see.

  Attributes:
    k_BSKH: Keys.
    v_BSKH: Values.
    slots_BS: The slot of each key, -1 where there is no token; None means that
      key s is in slot s.
  """
  k_BSKH: jax.Array
  v_BSKH: jax.Array
  slots_BS: jax.Array | None = None


@struct.dataclass
class Contiguous:
  """Keys and values of all tokens, in a buffer of S slots.

  The keys of each head are contiguous, as the product with a query reads them;
  with slots before heads, XLA would copy the whole cache at every token.
  """
  k_BKSH: jax.Array
  v_BKSH: jax.Array

  @classmethod
  def empty(cls, shape: tuple[int, int, int, int], dtype) -> 'Contiguous':
    """Returns an empty cache of the given shape, [B, K, S, H]."""
    return cls(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

  def extend(self, k_BTKH: jax.Array, v_BTKH: jax.Array, slots_B: jax.Array
             ) -> tuple['Contiguous', Keys]:
    """Adds T tokens to each row.

    Args:
      k_BTKH: The keys of the new tokens.
      v_BTKH: The values of the new tokens.
      slots_B: The slot of each row's first new token, which is the number of
        tokens read before it.

    Returns:
      The new cache, and the keys and values that the new tokens can see.
    """
    cache = type(self)(_put(self.k_BKSH, k_BTKH, slots_B),
                       _put(self.v_BKSH, v_BTKH, slots_B))
    return cache, Keys(_tokens_first(cache.k_BKSH), _tokens_first(cache.v_BKSH))


@struct.dataclass
class Ring(Contiguous):
  """Keys and values of the last S tokens, for attention with a window of S.

  Slot s is stored at place s modulo S, where it replaces the token that has
  just left the window.
  """

  def extend(self, k_BTKH: jax.Array, v_BTKH: jax.Array, slots_B: jax.Array
             ) -> tuple['Ring', Keys]:
    """Adds T tokens to each row; see `Contiguous.extend`."""
    size, count = self.k_BKSH.shape[2], k_BTKH.shape[1]
    if count == 1:
      cache = Ring(_put(self.k_BKSH, k_BTKH, slots_B % size),
                   _put(self.v_BKSH, v_BTKH, slots_B % size))
      return cache, Keys(
          _tokens_first(cache.k_BKSH), _tokens_first(cache.v_BKSH),
          _held(slots_B + 1, size))
    # The first new tokens still see keys that the last new tokens replace.
    both = [jnp.concatenate(
        [old_BKSH, _heads_first(new_BTKH).astype(old_BKSH.dtype)], axis=2)
            for old_BKSH, new_BTKH in ((self.k_BKSH, k_BTKH),
                                       (self.v_BKSH, v_BTKH))]
    first_B1 = slots_B[:, None]
    slots_BT = first_B1 + jnp.arange(count)[None]
    after_BS = _held(slots_B + count, size)
    source_BS = jnp.where(after_BS >= first_B1, size + after_BS - first_B1,
                          jnp.arange(size)[None])
    cache = Ring(*(jnp.take_along_axis(
        each, source_BS[:, None, :, None], axis=2) for each in both))
    return cache, Keys(*map(_tokens_first, both), jnp.concatenate(
        [_held(slots_B, size), slots_BT], axis=1))


@struct.dataclass
class Tokens:
  """The cache of a model: the caches of its layers and the tokens in them.

  Attributes:
    layers: The caches of the layers; the model defines their structure.
    positions_BS: The position of the token in each slot.
    segments_BS: The document of the token in each slot, from 1; 0 is padding
      or a slot that is not yet written.
    slots_B: The number of slots written in each row, including padding.
  """
  layers: Any
  positions_BS: jax.Array
  segments_BS: jax.Array
  slots_B: jax.Array

  @classmethod
  def empty(cls, layers: Any, batch: int, length: int) -> 'Tokens':
    """Returns the cache before any of `length` tokens has been read."""
    none_BS = jnp.zeros((batch, length), jnp.int32)
    return cls(layers, none_BS, none_BS, jnp.zeros((batch,), jnp.int32))

  def extend(self, mask: masks.Mask) -> tuple['Tokens', masks.Mask]:
    """Adds the T tokens of `mask` to the cache and to the keys of the mask.

    Each layer extends its own cache, starting at the old value of `slots_B`.

    Returns:
      The new cache, and the mask over all slots.
    """
    def put(buffer_BS, new_BT):
      new_BT = jnp.broadcast_to(new_BT, (len(buffer_BS), new_BT.shape[1]))
      return _written(buffer_BS, new_BT, self.slots_B, 1)
    segments_BT = mask.query_segments_BT
    if segments_BT is None:
      segments_BT = jnp.ones_like(mask.query_positions_BT)
    positions_BS = put(self.positions_BS, mask.query_positions_BT)
    segments_BS = put(self.segments_BS, segments_BT)
    mask = mask.replace(
        key_positions_BS=positions_BS, key_segments_BS=segments_BS,
        query_segments_BT=segments_BT, square=False)
    return self.replace(
        positions_BS=positions_BS, segments_BS=segments_BS,
        slots_B=self.slots_B + segments_BT.shape[1]), mask


def insert(cache: Any, row: Any, place: jax.Array | int) -> Any:
  """Replaces one row of a cache, and returns the new cache.

  Args:
    cache: Any tree of arrays. Each array has an axis of rows, at any place.
    row: The same tree for a single row; its other axes have the same sizes.
    place: The index of the row to replace.

  Raises:
    InputError: If the shapes differ in more than the number of rows.
  """
  def replaced(all_rows, one):
    differs = [axis for axis, (many, single) in enumerate(
        zip(all_rows.shape, one.shape)) if many != single]
    if (all_rows.ndim != one.ndim or len(differs) > 1
        or differs and one.shape[differs[0]] != 1):
      raise errors.InputError(
          f'A row of shape {one.shape} does not fit into a cache of shape '
          f'{all_rows.shape}: make both with room for as many tokens.')
    if not differs:  # The cache is of one row.
      return one.astype(all_rows.dtype)
    return jax.lax.dynamic_update_slice_in_dim(
        all_rows, one.astype(all_rows.dtype), place, differs[0])
  return jax.tree.map(replaced, cache, row)


def _put(buffer_BKSH, new_BTKH, places_B):
  """Writes T tokens to each row, starting at that row's place."""
  new_BKTH = _heads_first(new_BTKH).astype(buffer_BKSH.dtype)
  return _written(buffer_BKSH, new_BKTH, places_B, 2)


def _written(buffer, new, places_B, axis):
  """Writes a slice to each row, at that row's place along an axis."""
  if len(buffer) == 1:  # Avoids a scatter, which is slower.
    return jax.lax.dynamic_update_slice_in_dim(buffer, new, places_B[0], axis)
  return jax.vmap(jax.lax.dynamic_update_slice_in_dim, (0, 0, 0, None))(
      buffer, new, places_B, axis - 1)


def _held(count_B, size):
  """Returns the slot at each place of a ring after `count_B` tokens."""
  last_B1 = count_B[:, None] - 1
  slots_BS = last_B1 - (last_B1 - jnp.arange(size)[None]) % size
  return jnp.maximum(slots_BS, -1)


def _heads_first(x_BTKH):
  return jnp.swapaxes(x_BTKH, 1, 2)


_tokens_first = _heads_first  # Swapping the axes again restores the order.
