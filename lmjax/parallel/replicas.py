"""Checks that all devices hold the same state, bit for bit.

Under data parallelism each device updates its own copy of the state. If a
device is faulty, or an update differs between devices, the copies drift apart,
which training does not notice: the loss only gets a little worse.
"""
import collections
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import spread
from lmjax.core import trees


def differing(tree: Any, devices: Sequence[jax.Device] | None = None
              ) -> list[str]:
  """Returns the arrays whose copies differ, such as `head/kernel on cpu:3`.

  Each device computes checksums of its own copy, and 64 bits per array are
  fetched. A change of one element is always detected; other changes are missed
  with a probability of 2^-64. The comparison is of bits: NaN equals the same
  NaN, and 0.0 differs from -0.0.

  Args:
    tree: Arrays of any type, including keys, with a leading device axis, as
      `parallel.Pmap.place` returns them.
    devices: All devices of all processes, if there are several processes; then
      all of them have to call it together.

  Returns:
    For each array that differs, its path and the devices that disagree with the
    majority; of two devices, the second.
  """
  leaves = [leaf for _, leaf in trees.items(tree)]
  if not leaves:
    return []
  local = {path: _devices(path, leaf) for path, leaf in trees.items(tree)}
  sums_DLC = jax.device_get(_checksums(leaves))
  if devices is not None and len(devices) > len(sums_DLC):
    sums_DLC = spread.joined(sums_DLC)
    local = dict.fromkeys(local, devices)
  return [f'{path} on {", ".join(odd)}' for i, path in enumerate(local)
          if (odd := _odd(local[path], sums_DLC[:, i]))]


def differing_shards(tree: Any) -> list[str]:
  """The same as `differing`, for arrays that are divided over a mesh.

  Args:
    tree: Arrays on one mesh. Each part of an array is compared between the
      devices that should hold this part.
  """
  leaves = [leaf for _, leaf in trees.items(tree)]
  if not leaves:
    return []
  mesh = leaves[0].sharding.mesh
  sums_DLC = spread.whole(jax.jit(jax.shard_map(
      lambda leaves: _checksums([x[None] for x in leaves]), mesh=mesh,
      in_specs=([leaf.sharding.spec for leaf in leaves],),
      out_specs=jax.sharding.PartitionSpec(mesh.axis_names),
      check_vma=False))(leaves))
  found = []
  for i, (path, leaf) in enumerate(trees.items(tree)):
    groups = collections.defaultdict(list)
    where = leaf.sharding.devices_indices_map(leaf.shape)
    for device, sums in zip(mesh.devices.flat, sums_DLC[:, i]):
      groups[str(where[device])].append((device, sums))
    odd = [name for group in groups.values() for name in _odd(*zip(*group))]
    if odd:
      found.append(f'{path} on {", ".join(odd)}')
  return found


def _odd(devices, sums):
  """Returns the names of devices whose checksums differ from the most common.
  """
  sums = [tuple(row) for row in sums]
  (usual, _), = collections.Counter(sums).most_common(1)
  return [f'{device.platform}:{device.id}'
          for device, row in zip(devices, sums) if row != usual]


def _devices(path, leaf):
  """Returns the device of each index of the leading axis."""
  shards = list(leaf.addressable_shards)
  if not leaf.shape or [s.data.shape[0] for s in shards] != [1] * len(leaf):
    raise errors.InputError(
        f'{path} has shape {leaf.shape} and lies on {len(shards)} devices; its '
        f'leading axis should be the device, as Pmap.place makes it.')
  shards.sort(key=lambda shard: shard.index[0].start or 0)
  return [shard.device for shard in shards]


@jax.jit
def _checksums(leaves):
  """Returns two 32-bit sums for each leaf on each device, [D, L, 2]."""
  return jnp.stack([_checksum(leaf) for leaf in leaves], axis=1)


def _checksum(x):
  words_DN = _words(x)
  place_DN = jax.lax.broadcasted_iota(jnp.uint32, words_DN.shape, 1)
  # Both are bijections of the word at each place, so that a single change is
  # always detected.
  first_DN = _mix(words_DN ^ (place_DN * np.uint32(0x9E3779B1)))
  second_DN = _mix(first_DN ^ np.uint32(0x7F4A7C15))
  return jnp.stack([jnp.sum(h_DN, axis=1, dtype=jnp.uint32)
                    for h_DN in (first_DN, second_DN)], axis=1)


def _words(x):
  """Returns the bits of an array [D, ...] as 32-bit words, [D, N]."""
  if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
    x = jax.random.key_data(x)
  if jnp.issubdtype(x.dtype, jnp.complexfloating):
    x = jnp.stack([x.real, x.imag], axis=-1)
  if x.dtype == jnp.bool_:
    x = x.astype(jnp.uint8)
  bits = min(jax.dtypes.itemsize_bits(x.dtype), 32)  # 64 bits are two words.
  x = jax.lax.bitcast_convert_type(x, jnp.dtype(f'uint{bits}'))
  return x.astype(jnp.uint32).reshape(len(x), -1)


def _mix(x):
  """Applies the finalizer of MurmurHash3 (Austin Appleby, public domain)."""
  x ^= x >> 16
  x *= np.uint32(0x85EBCA6B)
  x ^= x >> 13
  x *= np.uint32(0xC2B2AE35)
  return x ^ (x >> 16)
