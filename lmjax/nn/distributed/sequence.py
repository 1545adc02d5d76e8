"""How the tokens of a sequence are divided over devices."""
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.nn.distributed import collectives


def split(batch: Mapping[str, Any], count: int, *, zigzag: bool = False
          ) -> dict[str, Any]:
  """Returns arrays [B, T, ...] as [count, B, T / count, ...], for `pmap`.

  The batch should hold `positions`, and `segments` if it is packed: a device
  has no other information on which tokens of the sequence it holds.

  Args:
    batch: Arrays whose second axis is the sequence.
    count: The number of devices that share the sequence.
    zigzag: Whether to permute the tokens with `into_zigzag` first.

  Example:
    >>> split({'positions': np.arange(8)[None]}, 2)['positions'].tolist()
    [[[0, 1, 2, 3]], [[4, 5, 6, 7]]]
  """
  if zigzag:
    batch = into_zigzag(batch, count)
  return {k: _divided(k, x, count) for k, x in batch.items()}


def join(x: Any, *, zigzag: bool = False) -> Any:
  """Returns an array [count, B, T / count, ...] as [B, T, ...] in order."""
  count = x.shape[0]
  x = x.swapaxes(0, 1)
  x = x.reshape(x.shape[0], -1, *x.shape[3:])
  return out_of_zigzag({'': x}, count)[''] if zigzag else x


def into_zigzag(batch: Mapping[str, Any], count: int) -> dict[str, Any]:
  """Permutes tokens so that causal attention gives all devices equal work.

  The sequence is cut into 2 `count` chunks, and share i of the result, which
  goes to device i, holds chunks i and 2 `count` - 1 - i. In plain order the
  last device would have about `count` times the work of the first one, and all
  devices would wait for it.

  Args:
    batch: Arrays [B, T, ...], all permuted in the same way.
    count: The number of devices that share the sequence.

  References:
    Zhu, zigzag ring attention, github.com/zhuzilin/ring-flash-attention; Llama
    Team, arXiv:2407.21783, section 3.3.2 (context parallelism).

  Example:
    >>> into_zigzag({'inputs': np.arange(8)[None]}, 2)['inputs'].tolist()
    [[0, 1, 6, 7, 2, 3, 4, 5]]
  """
  return _permuted(batch, count, _order(count))


def out_of_zigzag(batch: Mapping[str, Any], count: int) -> dict[str, Any]:
  """Undoes `into_zigzag`, with the same arguments."""
  return _permuted(batch, count, np.argsort(_order(count)))


def deal(tree: Any, axis: collectives.Axis) -> Any:
  """Permutes consecutive tokens into a zigzag; called on each device.

  This is `into_zigzag` for rows that are already divided over the devices. The
  order of a device's two chunks is not specified.

  Args:
    tree: Arrays [B, T / devices, ...] of consecutive tokens.
    axis: The devices that share the sequence.
  """
  even, odd = _owners(axis.size)

  def dealt(x):
    left, right = jnp.split(x, 2, axis=1)
    return jnp.concatenate(
        [axis.send(left, even), axis.send(right, odd)], axis=1)
  return jax.tree.map(dealt, tree)


def collect(tree: Any, axis: collectives.Axis) -> Any:
  """Undoes `deal`, with the same arguments."""
  even, odd = map(np.argsort, _owners(axis.size))

  def collected(x):
    left, right = jnp.split(x, 2, axis=1)
    return jnp.concatenate(
        [axis.send(left, even), axis.send(right, odd)], axis=1)
  return jax.tree.map(collected, tree)


def _owners(count):
  """Returns the zigzag's owners of each device's even and odd chunks."""
  chunk = np.arange(2 * count)
  owner = np.where(chunk < count, chunk, 2 * count - 1 - chunk)
  return owner[::2], owner[1::2]


def _order(count):
  first = np.arange(count)
  return np.stack([first, 2 * count - 1 - first], axis=1).reshape(-1)


def _permuted(batch, count, order):
  def permute(name, x):
    chunks = _divided(name, x, 2 * count)[order]
    return chunks.swapaxes(0, 1).reshape(x.shape)
  return {k: permute(k, x) for k, x in batch.items()}


def _divided(name, x, count):
  """Returns [B, T, ...] as [count, B, T / count, ...]."""
  length = x.shape[1]
  if length % count:
    nearest = max(round(length / count), 1) * count
    raise errors.InputError(
        f'The {length} tokens of a row of {name or "the array"} do not divide '
        f'into {count} equal parts; the nearest length that does is {nearest}.')
  x = x.reshape(x.shape[0], count, length // count, *x.shape[2:])
  return x.swapaxes(0, 1)
