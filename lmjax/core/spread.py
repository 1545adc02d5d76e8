"""Arrays spread over the devices of several processes.

A process reaches its own devices alone. It makes its parts of an array, which
needs no word of the others; to see the whole, all ask for it together.
"""
from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np


def put(array: Any, where: jax.sharding.NamedSharding, start: int = 0,
        rows: int | None = None) -> jax.Array:
  """Returns an array placed as `where` says.

  Args:
    array: Whole and the same in every process, or rows of it.
    where: Devices, of other processes too.
    start: Which row of the whole the first row of `array` is.
    rows: Rows of the whole; None: `array` is whole.
  """
  if where.is_fully_addressable:
    return jax.device_put(array, where)
  if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
    return jax.random.wrap_key_data(
        put(jax.random.key_data(array), where), impl=jax.random.key_impl(array))
  array = np.asarray(array)
  shape = array.shape if rows is None else (rows, *array.shape[1:])

  def part(index):
    if rows is None:
      return array[index]
    first, stop, _ = index[0].indices(rows)
    return array[first - start:stop - start, *index[1:]]

  return jax.make_array_from_callback(shape, where, part)


def whole(tree: Any) -> Any:
  """Returns a tree's arrays on the host, whole in every process.

  All processes of the arrays' devices call it together. One array at a time
  is whole on the devices.
  """
  return jax.tree.map(_whole, tree)


def joined(tree: Any) -> Any:
  """Returns host arrays of all processes, one behind the other along axis 0.

  All processes call it together, with arrays of the same shapes.
  """
  return multihost_utils.process_allgather(tree, tiled=True)


def _whole(x):
  if not isinstance(x, jax.Array):
    return x
  if x.is_fully_addressable or x.is_fully_replicated:
    return jax.device_get(x)
  same = jax.sharding.NamedSharding(
      x.sharding.mesh, jax.sharding.PartitionSpec())
  return jax.device_get(jax.jit(_same, out_shardings=same)(x))


def _same(x):
  return x
