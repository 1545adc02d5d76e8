"""Devices as a grid with named axes, over which the compiler partitions a step.

The step sees whole arrays. A table decides which part of each stored array a
device holds (see `sharding`), and batches are divided by rows and tokens. The
compiler chooses the communication, except in attention and mixtures of experts,
which define the part of each device themselves (see `core.placement`).
"""
from collections.abc import Callable, Iterator, Mapping, Sequence
import math
from typing import Any, Literal

import jax
import numpy as np

from lmjax.core import errors
from lmjax.core import placement
from lmjax.core import spread
from lmjax.core import trees
from lmjax.parallel import offload as offload_lib
from lmjax.parallel import replicas
from lmjax.parallel import rows as rows_lib
from lmjax.parallel import sharding

Batch = Mapping[str, np.ndarray]


class Mesh:
  """All devices along named axes, `sharding.AXES`.

  Attributes:
    sizes: The sizes of the axes.
    mesh: JAX's mesh.
    devices: All devices of the mesh.
    share: The part of a batch's rows that this process reads: index, count.
  """
  name = 'mesh'

  def __init__(self, devices: list[jax.Device] | None = None,
               sizes: str | None = None,
               rules: sharding.Rules = sharding.RULES,
               offload: bool = False,
               sequence: Literal['ring', 'ulysses'] = 'ring'):
    """Initializes the mesh.

    Args:
      devices: The devices; None takes all.
      sizes: The sizes of the axes, such as 'data:2,fsdp:2,tensor:2'; None puts
        all devices along fsdp.
      rules: The rules by which parameters are divided.
      offload: Whether to keep the optimizer's state in host memory between
        steps.
      sequence: How attention reaches all tokens of a row that devices divide:
        see `nn.distributed.divided`.

    Raises:
      InputError: If the sizes do not multiply to the number of devices, or
        name an unknown axis.
    """
    self.devices = list(devices or jax.devices())
    count = len(self.devices)
    self.sizes = sharding.parse(sizes or f'fsdp:{count}')
    self._rules, self._offload, self._sequence = rules, offload, sequence
    if offload:
      offload_lib.check(self.devices)
    if math.prod(self.sizes.values()) != count:
      raise errors.InputError(_misfit(self.sizes, count))
    self.mesh = jax.sharding.Mesh(
        np.array(self.devices).reshape(tuple(self.sizes.values())),
        sharding.AXES,
        axis_types=(jax.sharding.AxisType.Auto,) * len(sharding.AXES))
    self._rows = self._named(
        jax.sharding.PartitionSpec(sharding.LOGICAL['rows']))
    self._same = self._named(jax.sharding.PartitionSpec())
    self.share = rows_lib.share(
        self._rows, sharding.shards_of_batch(self.sizes), jax.process_index())

  def shardings(self, tree: Any) -> Any:
    """Returns the shardings of a state or of parameters between steps."""
    where = self._shardings(tree)
    return offload_lib.at_rest(where) if self._offload else where

  def _shardings(self, tree):
    """Returns the shardings in device memory."""
    cuts = sharding.specs(tree, self.sizes, self._rules)
    return trees.map_paths(
        lambda path, _: self._named(sharding.partition(cuts[path])), tree)

  def _fetched(self, tree):
    """Returns a tree with all arrays in device memory."""
    if not self._offload:
      return tree
    return offload_lib.fetched(tree, self._shardings(tree))

  def compile(self, step: Callable[..., Any], microbatches: int = 1
              ) -> Callable[..., Any]:
    """See `parallel.Jit.compile`; with stages, microbatches pass through them.
    """
    parts = 1
    if self.sizes['stage'] > 1:
      parts, microbatches = microbatches, 1
    step = rows_lib.in_parts(step, microbatches)

    def placed(state, batch):
      state = self._fetched(state)
      with self._placed(parts):
        state, metrics = step(state, batch)
      constrain = jax.lax.with_sharding_constraint
      where = self._shardings(state)
      state = constrain(state, where)
      if self._offload:
        state = offload_lib.put_back(state, where)
      return state, constrain(metrics, self._same)

    return jax.jit(placed, donate_argnums=0)

  def place(self, tree: Any) -> Any:
    """Returns a state or parameters, divided over the devices."""
    # They are copied from the host, so that no device holds a whole array.
    return jax.tree.map(self._put, tree, self.shardings(tree))

  def place_one(self, path: str, array: np.ndarray) -> jax.Array:
    """Returns one parameter, divided as `place` divides it in its tree.

    It is a `place` of `interop.importing.load`, which then never has more than
    a few tensors of a model on the host, and a part of each on a device. It
    waits until the parts are there, so that the host's memory is free again.

    Args:
      path: The path of the parameter, such as 'layer_0/mlp/in/kernel'.
      array: Its values.
    """
    cut = sharding.spec(path, array.shape, self.sizes, self._rules)
    return jax.block_until_ready(
        spread.put(array, self._named(sharding.partition(cut))))

  def gather(self, tree: Any) -> Any:
    """Returns a placed tree as whole host arrays."""
    return jax.tree.map(
        lambda x: _key(x) if _is_key(x) else spread.whole(x),
        self._fetched(tree))

  def drifted(self, tree: Any) -> list[str]:
    """Returns the paths of arrays whose copies differ between devices."""
    return replicas.differing_shards(self._fetched(tree))

  def fetch(self, metrics: Any) -> Any:
    """Waits for the metrics of steps and returns them on the host."""
    return jax.device_get(metrics)

  def shard(self, batch: Batch) -> Any:
    """Returns a host batch [B, T, ...] with its rows and tokens divided.

    Raises:
      InputError: If the rows do not divide.
    """
    (index, count), size = self.share, rows_lib.count(batch)
    rows_lib.check(
        size * count, sharding.shards_of_batch(self.sizes),
        f'devices along {", ".join(sharding.LOGICAL["rows"])}')
    return {name: spread.put(
        x, self.of_batch(np.shape(x)), index * size, count * size)
            for name, x in batch.items()}

  def map_batches(self, function: Callable[[Any, Any], Any]):
    """See `parallel.Jit.map_batches`; parameters and rows are divided."""
    def divided(params, batch):
      with self._placed():
        return function(params, batch)

    compiled = jax.jit(divided, out_shardings=self._rows)
    return rows_lib.filled(
        lambda params, batch: spread.whole(compiled(
            params, self.shard(rows_lib.part(batch, *self.share)))),
        sharding.shards_of_batch(self.sizes))

  def of_batch(self, shape: Sequence[int]) -> jax.sharding.NamedSharding:
    """Returns the sharding of an array [B, T, ...] or [B, ...] of a batch."""
    names = sharding.LOGICAL['tokens']
    parts = math.prod(self.sizes[axis] for axis in names)
    if len(shape) < 2 or shape[1] % parts:
      return self._rows
    return self._named(jax.sharding.PartitionSpec(
        sharding.LOGICAL['rows'], names))

  def _placed(self, parts=1):
    return placement.divided(
        self.mesh, sharding.LOGICAL, parts, self._sequence)

  def _named(self, spec):
    return jax.sharding.NamedSharding(self.mesh, spec)

  def _put(self, leaf, where):
    if _is_key(leaf):
      return spread.put(_key(leaf), where)
    return spread.put(np.asarray(leaf), where)


def _is_key(leaf) -> bool:
  return jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _key(leaf):
  """Returns a typed key on one device."""
  return jax.random.wrap_key_data(
      jax.device_get(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))


def _misfit(sizes: Mapping[str, int], count: int) -> str:
  """Returns the message for sizes whose product is not `count`."""
  choices = [dict(zip(sharding.AXES, found))
             for found in _factorings(count, len(sharding.AXES))]

  def distance(other):
    return sum(abs(math.log2(other[name] / size))
               + 0.5 * (size == 1 < other[name])  # An axis not asked for.
               for name, size in sizes.items())

  nearest = min(choices, key=distance)
  return (
      f'The mesh {_written(sizes)} has {math.prod(sizes.values())} devices, '
      f'but there are {count}; the nearest that fits is '
      f'--mesh={_written(nearest)}.')


def _factorings(count: int, parts: int) -> Iterator[tuple[int, ...]]:
  """Yields all ways to write `count` as a product of `parts` factors."""
  if parts == 1:
    yield (count,)
    return
  for first in range(1, count + 1):
    if count % first == 0:
      for rest in _factorings(count // first, parts - 1):
        yield first, *rest


def _written(sizes: Mapping[str, int]) -> str:
  """Returns sizes in the form of the flag --mesh."""
  named = [f'{name}:{size}' for name, size in sizes.items() if size > 1]
  return ','.join(named) or 'data:1'
