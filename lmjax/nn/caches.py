"""What layers and models remember of the tokens they have read.

A cache of attention is any object with the method `extend` of `Contiguous`. A
row's tokens are numbered in the order in which it read them; that number is the
token's slot, and rows may have read different numbers of tokens. A cache is
free in where it keeps a slot: it says which slots the keys that it returns come
from, and the mask goes by their positions, not by their order.
"""
from typing import Any, NamedTuple

from flax import struct
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.nn import masks


class Keys(NamedTuple):
  """What T new tokens can see.

  Attributes:
    k_BSKH: Keys.
    v_BSKH: Values.
    slots_BS: The slot of each, -1 where there is no token; None: key s is that
      of slot s.
  """
  k_BSKH: jax.Array
  v_BSKH: jax.Array
  slots_BS: jax.Array | None = None


@struct.dataclass
class Contiguous:
  """Keys and values of all tokens, in a buffer of S slots.

  Each head's keys lie together, as the product with a query reads them; with
  slots before heads XLA would copy the whole cache at every token.
  """
  k_BKSH: jax.Array
  v_BKSH: jax.Array

  @classmethod
  def empty(cls, shape: tuple[int, int, int, int], dtype) -> 'Contiguous':
    """Returns a cache of a shape [B, K, S, H] that holds nothing."""
    return cls(jnp.zeros(shape, dtype), jnp.zeros(shape, dtype))

  def extend(self, k_BTKH: jax.Array, v_BTKH: jax.Array, slots_B: jax.Array
             ) -> tuple['Contiguous', Keys]:
    """Returns the cache with T more tokens a row, and what these can see.

    Args:
      k_BTKH: Their keys.
      v_BTKH: Their values.
      slots_B: The slot of each row's first one: how many it has read before.
    """
    cache = type(self)(_put(self.k_BKSH, k_BTKH, slots_B),
                       _put(self.v_BKSH, v_BTKH, slots_B))
    return cache, Keys(_tokens_first(cache.k_BKSH), _tokens_first(cache.v_BKSH))


@struct.dataclass
class Ring(Contiguous):
  """Keys and values of the last S tokens: all that a window of S can see.

  Slot s is at place s modulo S, where it replaces the token that the window has
  just left behind.
  """

  def extend(self, k_BTKH: jax.Array, v_BTKH: jax.Array, slots_B: jax.Array
             ) -> tuple['Ring', Keys]:
    """Returns what `Contiguous.extend` does, of the same arguments."""
    size, count = self.k_BKSH.shape[2], k_BTKH.shape[1]
    if count == 1:
      cache = Ring(_put(self.k_BKSH, k_BTKH, slots_B % size),
                   _put(self.v_BKSH, v_BTKH, slots_B % size))
      return cache, Keys(
          _tokens_first(cache.k_BKSH), _tokens_first(cache.v_BKSH),
          _held(slots_B + 1, size))
    # The first of many tokens still see what the last of them replace.
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
  """What a model remembers: its layers' caches, and which tokens are in them.

  Attributes:
    layers: The caches of the layers, in whatever form the model has them.
    positions_BS: The position of the token in each slot.
    segments_BS: Its document, from 1; 0 is padding and slots not yet written.
    slots_B: How many slots of each row are written, padding among them.
  """
  layers: Any
  positions_BS: jax.Array
  segments_BS: jax.Array
  slots_B: jax.Array

  @classmethod
  def empty(cls, layers: Any, batch: int, length: int) -> 'Tokens':
    """Returns what there is before any of `length` tokens was read."""
    none_BS = jnp.zeros((batch, length), jnp.int32)
    return cls(layers, none_BS, none_BS, jnp.zeros((batch,), jnp.int32))

  def extend(self, mask: masks.Mask) -> tuple['Tokens', masks.Mask]:
    """Returns the cache and mask with the T tokens of `mask` among the keys.

    The layers' own caches are extended by the layers, from `slots_B` on as it
    was before.
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
  """Returns a cache of several rows, one of which another row has replaced.

  Args:
    cache: Any tree of arrays that each have an axis of rows, wherever it is.
    row: The same of a single row, otherwise of the same shapes.
    place: Which row to replace.

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
  """Returns the buffer with T tokens a row, from a place of each row on."""
  new_BKTH = _heads_first(new_BTKH).astype(buffer_BKSH.dtype)
  return _written(buffer_BKSH, new_BKTH, places_B, 2)


def _written(buffer, new, places_B, axis):
  """Returns rows with a slice written at each one's place along an axis."""
  if len(buffer) == 1:  # Spares a scatter, which takes longer.
    return jax.lax.dynamic_update_slice_in_dim(buffer, new, places_B[0], axis)
  return jax.vmap(jax.lax.dynamic_update_slice_in_dim, (0, 0, 0, None))(
      buffer, new, places_B, axis - 1)


def _held(count_B, size):
  """Returns which slot is at each place of a ring after `count_B` tokens."""
  last_B1 = count_B[:, None] - 1
  slots_BS = last_B1 - (last_B1 - jnp.arange(size)[None]) % size
  return jnp.maximum(slots_BS, -1)


def _heads_first(x_BTKH):
  return jnp.swapaxes(x_BTKH, 1, 2)


_tokens_first = _heads_first  # The same exchange of two axes, back.
