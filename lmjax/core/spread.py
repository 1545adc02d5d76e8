"""Arrays spread over the devices of several processes.

A process can reach only its own devices. It makes its parts of an array without
communication; to read the whole array, all processes have to call `whole`.
"""
from typing import Any

import jax
from jax.experimental import multihost_utils
import numpy as np


def put(array: Any, where: jax.sharding.NamedSharding, start: int = 0,
        rows: int | None = None) -> jax.Array:
  """Returns an array placed on devices.

  Args:
    array: The whole array, the same in every process, or some of its rows.
    where: The sharding, whose devices may belong to other processes.
    start: The index, in the whole array, of the first row of `array`.
    rows: The number of rows of the whole array; None if `array` is whole.
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
  """Returns a tree's arrays as host arrays, whole in every process.

  All processes of the arrays' devices have to call it together. Only one array
  at a time is gathered on the devices.
  """
  return jax.tree.map(_whole, tree)


def joined(tree: Any) -> Any:
  """Returns the host arrays of all processes, concatenated along axis 0.

  All processes have to call it together, with arrays of the same shapes.
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
