"""Neighbours of tokens within their documents, for n-grams and convolutions."""
import jax
import jax.numpy as jnp

from lmjax.nn import masks


def segments(mask: masks.Mask | None, rows: int, length: int) -> jax.Array:
  """Returns the document of each token, `segments_BT`, from 1; 0 is padding.

  Args:
    mask: The mask of the rows; None means that each row is one document.
    rows: B, the number of rows.
    length: T, the number of tokens in a row.

  Raises:
    InputError: If the mask is for other lengths.
  """
  if mask is not None:
    masks.check(mask, length)
  if mask is None or mask.query_segments_BT is None:
    return jnp.ones((rows, length), jnp.int32)
  return jnp.broadcast_to(mask.query_segments_BT, (rows, length))


def at(x_BTD: jax.Array, segments_BT: jax.Array, offset: int
               ) -> jax.Array:
  """Returns for each token the vector of the token `offset` places after it.

  It is 0 if that token is not in the same document, and for padding.

  Args:
    x_BTD: The vectors.
    segments_BT: The document of each token, from 1; 0 is padding.
    offset: Number of places; negative for tokens before.
  """
  same_BT = (shifted(segments_BT, offset) == segments_BT) & (segments_BT > 0)
  return jnp.where(same_BT[:, :, None], shifted(x_BTD, offset), 0)


def shifted(x_BT: jax.Array, offset: int) -> jax.Array:
  """Returns an array of tokens, moved by `offset` places to the left.

  Args:
    x_BT: The array; further axes may follow. Places without a token get 0.
    offset: Number of places; negative moves to the right.
  """
  length = x_BT.shape[1]
  before, after = max(-offset, 0), max(offset, 0)
  if before >= length or after >= length:
    return jnp.zeros_like(x_BT)
  return jnp.pad(
      x_BT[:, after:length - before],
      ((0, 0), (before, after)) + ((0, 0),) * (x_BT.ndim - 2))
