"""Matrix products of rows sorted by group, with one matrix per group."""
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import shapes


@jax.custom_vjp
def product(x_MD: jax.Array, kernel_EDF: jax.Array, sizes_E: jax.Array
            ) -> jax.Array:
  """Multiplies each row by the matrix of its group, and returns `y_MF`.

  The result equals that of `jax.lax.ragged_dot`, which is used on a TPU. On
  other platforms XLA may multiply every row by every matrix (on a CPU it does,
  which takes six times as long for eight groups), so there the rows are cut
  into blocks of one group each. A trace contains both versions: see
  `models.cost`.

  Args:
    x_MD: Rows sorted by group: the first `sizes_E[0]` rows are group 0, and so
      on.
    kernel_EDF: A matrix for each of E groups.
    sizes_E: Number of rows of each group; rows after the last group give zeros.
  """
  shapes.bind(x_MD=x_MD, kernel_EDF=kernel_EDF, sizes_E=sizes_E)
  return jax.lax.platform_dependent(
      x_MD, kernel_EDF, sizes_E, tpu=jax.lax.ragged_dot, default=in_blocks)


def _forward(x_MD, kernel_EDF, sizes_E):
  return product(x_MD, kernel_EDF, sizes_E), (x_MD, kernel_EDF, sizes_E)


def _backward(kept, g_MF):
  x_MD, kernel_EDF, sizes_E = kept
  dx_MD = product(g_MF, jnp.swapaxes(kernel_EDF, 1, 2), sizes_E)
  dkernel_EDF = jax.lax.platform_dependent(
      x_MD, g_MF, kernel_EDF, sizes_E, tpu=_ragged_gradient,
      default=_gradient_in_blocks)
  return dx_MD, dkernel_EDF, np.zeros(sizes_E.shape, jax.dtypes.float0)


product.defvjp(_forward, _backward)


def group_of(sizes_E: jax.Array, rows: int) -> jax.Array:
  """Returns the group of each row; rows after all groups get the last group."""
  return jnp.minimum(
      jnp.searchsorted(jnp.cumsum(sizes_E), jnp.arange(rows), side='right'),
      sizes_E.size - 1)


class _Blocks(NamedTuple):
  """G blocks of R places each; all rows of a block are of the same group.

  group_G: the group of each block; row_GR: the row in each place, M for none;
  place_M: the place of each row, G * R for none.
  """
  group_G: jax.Array
  row_GR: jax.Array
  place_M: jax.Array


def _blocks(rows: int, sizes_E: jax.Array) -> _Blocks:
  # Filling up blocks adds at most a quarter of the rows.
  size = max(1, min(256, rows // (4 * sizes_E.size)))
  count = rows if size == 1 else rows // size + sizes_E.size
  blocks_E = (sizes_E + size - 1) // size
  first_E = jnp.cumsum(blocks_E) - blocks_E
  start_E = jnp.cumsum(sizes_E) - sizes_E

  group_G = group_of(blocks_E, count)
  offset_GR = ((jnp.arange(count) - first_E[group_G]) * size)[
      :, None] + jnp.arange(size)[None]
  row_GR = jnp.where(offset_GR < sizes_E[group_G][:, None],
                     start_E[group_G][:, None] + offset_GR, rows)

  row_M, group_M = jnp.arange(rows), group_of(sizes_E, rows)
  place_M = jnp.where(
      row_M < jnp.sum(sizes_E),
      first_E[group_M] * size + row_M - start_E[group_M], count * size)
  return _Blocks(group_G, row_GR, place_M)


def in_blocks(x_MD: jax.Array, kernel_EDF: jax.Array, sizes_E: jax.Array
              ) -> jax.Array:
  """Computes `product` one block after the other."""
  blocks = _blocks(x_MD.shape[0], sizes_E)
  x_GRD = _take(x_MD, blocks.row_GR)
  y_GRF = jax.lax.map(
      lambda each: each[0] @ kernel_EDF[each[1]], (x_GRD, blocks.group_G))
  return _take(y_GRF.reshape(-1, kernel_EDF.shape[2]), blocks.place_M)


def _gradient_in_blocks(x_MD, g_MF, kernel_EDF, sizes_E):
  """Returns the kernel's gradient, summed in float32."""
  blocks = _blocks(x_MD.shape[0], sizes_E)

  def add(total_EDF, block):
    x_RD, g_RF, group = block
    return total_EDF.at[group].add(
        jnp.dot(x_RD.T, g_RF, preferred_element_type=jnp.float32)), None

  total_EDF, _ = jax.lax.scan(
      add, jnp.zeros(kernel_EDF.shape, jnp.float32),
      (_take(x_MD, blocks.row_GR), _take(g_MF, blocks.row_GR),
       blocks.group_G))
  return total_EDF.astype(kernel_EDF.dtype)


def _ragged_gradient(x_MD, g_MF, kernel_EDF, sizes_E):
  """Returns the kernel's gradient from the derivative of `ragged_dot`."""
  return jax.vjp(lambda kernel_EDF: jax.lax.ragged_dot(
      x_MD, kernel_EDF, sizes_E), kernel_EDF)[1](g_MF)[0]


def _take(x, index):
  return jnp.take(x, index, axis=0, mode='fill', fill_value=0)
