"""Attention masks, described by their conditions rather than as an array.

A fused kernel cannot see that a dense [B, T, S] mask is only causal. `Mask`
keeps the conditions (order, window, documents), so that each implementation of
attention can use those that it supports, or else ask for the dense array.
"""
from typing import Any

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import shapes


@struct.dataclass
class Mask:
  """Which of S keys each of T queries sees: those that meet all conditions.

  Attributes:
    query_positions_BT: Position of each query in its document, from 0. The
      leading axis may be 1 if all rows have the same positions.
    key_positions_BS: The same for the keys.
    query_segments_BT: Document of each query, from 1; 0 is padding, which sees
      nothing and which no query sees. None means one document without padding.
    key_segments_BS: The same for the keys.
    extra_BTS: Any further condition, or None.
    causal: Whether a query sees no key of a later position.
    window: If given, a query sees only keys closer than this many positions.
    square: Whether query t and key t are the same token and positions count up
      within each segment; the index alone then gives the order.
  """
  query_positions_BT: jax.Array
  key_positions_BS: jax.Array
  query_segments_BT: jax.Array | None = None
  key_segments_BS: jax.Array | None = None
  extra_BTS: jax.Array | None = None
  causal: bool = struct.field(pytree_node=False, default=True)
  window: int | None = struct.field(pytree_node=False, default=None)
  square: bool = struct.field(pytree_node=False, default=False)

  def distances(self) -> jax.Array:
    """Returns query position minus key position, `offset_BTS`."""
    return self.query_positions_BT[:, :, None] - self.key_positions_BS[:, None]

  def dense(self) -> jax.Array:
    """Returns `mask_BTS`, True where a query may see a key; B may be 1."""
    if self.square:  # A constant, which XLA folds and all rows share.
      index_T = jnp.arange(self.query_positions_BT.shape[1])
      offset_BTS = index_T[None, :, None] - index_T[None, None]
    else:
      offset_BTS = self.distances()
    mask_BTS = jnp.ones_like(offset_BTS, dtype=bool)
    if self.causal:
      mask_BTS &= offset_BTS >= 0
    if self.window is not None:
      mask_BTS &= jnp.abs(offset_BTS) < self.window
    if self.query_segments_BT is not None:
      mask_BTS = mask_BTS & (self.query_segments_BT[:, :, None]
                             == self.key_segments_BS[:, None])
      mask_BTS &= self.key_segments_BS[:, None] > 0
    if self.extra_BTS is not None:
      mask_BTS = mask_BTS & self.extra_BTS
    return mask_BTS

  def of_slots(self, slots_BS: jax.Array) -> 'Mask':
    """Returns the mask for the keys in some slots; no query sees slot -1."""
    queries, keys = self.query_segments_BT, self.key_segments_BS
    if queries is None:
      queries = jnp.ones_like(self.query_positions_BT)
      keys = jnp.ones_like(self.key_positions_BS)
    return self.replace(
        key_positions_BS=of_slots(self.key_positions_BS, slots_BS),
        query_segments_BT=queries,
        key_segments_BS=jnp.where(slots_BS < 0, 0, of_slots(keys, slots_BS)),
        extra_BTS=of_slots(self.extra_BTS, slots_BS), square=False)

  def part(self, start: int, stop: int) -> 'Mask':
    """Returns queries `start:stop` and keys `:stop` of a square mask."""
    def cut(array, *axes):
      return None if array is None else array[(slice(None), *axes)]
    queries, keys = slice(start, stop), slice(stop)
    index_1S = jnp.arange(stop)[None]  # A square mask is ordered by index.
    return self.replace(
        query_positions_BT=index_1S[:, queries], key_positions_BS=index_1S,
        query_segments_BT=cut(self.query_segments_BT, queries),
        key_segments_BS=cut(self.key_segments_BS, keys),
        extra_BTS=cut(self.extra_BTS, queries, keys), square=False)


def of_slots(array: jax.Array | None, slots_BS: jax.Array) -> jax.Array | None:
  """Selects keys by their slots along the last axis of an array.

  Args:
    array: An array [B, ..., keys], whose B may be 1; None gives None.
    slots_BS: The slots to select; a negative one selects slot 0.
  """
  if array is None:
    return None
  index = jnp.maximum(slots_BS, 0)
  index = index.reshape(len(index), *(1,) * (array.ndim - 2), -1)
  array = jnp.broadcast_to(array, (len(index), *array.shape[1:]))
  return jnp.take_along_axis(array, index, axis=-1)


def make(
    positions_BT: jax.Array,
    segments_BT: jax.Array | None = None,
    *,
    causal: bool = True,
) -> Mask:
  """Returns the mask of a sequence that attends to itself.

  Args:
    positions_BT: Positions, restarting at 0 in every document.
    segments_BT: Documents from 1, 0 for padding; None for a single document.
    causal: Whether tokens see no later tokens.

  Example:
    >>> make(jnp.arange(3)[None]).dense()[0].astype(int).tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
  """
  shapes.bind(positions_BT=positions_BT)  # Its B may be 1.
  shapes.bind(segments_BT=segments_BT)
  return Mask(positions_BT, positions_BT, segments_BT, segments_BT,
              causal=causal, square=True)


def check(mask: Any, queries: int | None = None) -> None:
  """Checks that a mask is a `Mask`, of as many queries as there are tokens.

  Args:
    mask: The argument of a module or of an implementation of attention.
    queries: The number of tokens in a row; None does not check it.

  Raises:
    InputError: If it is something else, such as an array of True and False.
  """
  if not isinstance(mask, Mask):
    raise errors.InputError(
        'mask should be a masks.Mask, such as masks.make(positions_BT, '
        'segments_BT), whose extra_BTS can hold any array of True and False; '
        f'got {_named(mask)}.')
  found = mask.query_positions_BT.shape[-1]
  if queries is not None and found != queries:
    raise errors.InputError(
        f'mask is of rows of {found} tokens, but the rows have {queries}.')


def _named(value: Any) -> str:
  """Returns what a value is, for messages."""
  if isinstance(value, (jax.Array, np.ndarray)):
    return f'an array of {value.dtype}, {value.shape}'
  return f'a {type(value).__name__}'


def of_length(length: int, *, causal: bool = True) -> Mask:
  """Returns the mask of rows that each hold one document without padding."""
  return make(jnp.arange(length)[None], causal=causal)


def prefix(positions_BT: jax.Array, segments_BT: jax.Array,
           prefix_BT: jax.Array) -> Mask:
  """Returns the mask of texts in which all tokens see the prefix.

  Args:
    positions_BT: Positions, restarting at 0 in every document.
    segments_BT: Documents from 1, 0 for padding.
    prefix_BT: True for the tokens of a prefix, which see each other. The tokens
      after it see the prefix and all tokens before themselves.

  References:
    Raffel et al., T5, arXiv:1910.10683, section 3.2.1, figure 4 (right).

  Example:
    >>> one, where = jnp.ones((1, 3), int), jnp.arange(3)[None]
    >>> prefix(where, one, where < 2).dense()[0].astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [1, 1, 1]]
  """
  index_T = jnp.arange(positions_BT.shape[1])
  before_BTS = index_T[None, :, None] >= index_T[None, None]
  mask = make(positions_BT, segments_BT, causal=False)
  return mask.replace(extra_BTS=before_BTS | (prefix_BT[:, None] > 0))
