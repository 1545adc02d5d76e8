"""Strategies to run a step: on one device, on replicas, or on a mesh.

A strategy compiles the step, places states and batches on devices, and fetches
states and metrics. The step is the same function under each strategy and gives
the same numbers.
"""
from collections.abc import Callable, Mapping
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import config
from lmjax.core import errors
from lmjax.core import spread
from lmjax.parallel import mesh as mesh_lib
from lmjax.parallel import offload as offload_lib
from lmjax.parallel import replicas
from lmjax.parallel import rows as rows_lib

Batch = Mapping[str, np.ndarray]


class Jit:
  """Runs the step on one device."""
  name = 'jit'
  share = 0, 1  # The part of a batch's rows that this process reads, of 1.

  def __init__(self, devices: list[jax.Device] | None = None,
               offload: bool = False):
    """Initializes the strategy.

    Args:
      devices: A list of which the first device is used; None takes the first
        local device.
      offload: Whether to keep the optimizer's state in host memory between
        steps.
    """
    self.devices = list(devices or jax.local_devices())[:1]
    self._offload = offload
    if offload:
      offload_lib.check(self.devices)

  def compile(self, step: Callable[..., Any], microbatches: int = 1
              ) -> Callable[..., Any]:
    """Returns `step(state, batch)` compiled; it donates the state.

    Args:
      step: The step; called with `microbatches` too if there are several.
      microbatches: Number of parts that the batch is cut into, to save memory.
    """
    step = rows_lib.in_parts(step, microbatches)
    if not self._offload:
      return jax.jit(step, donate_argnums=0)

    def fetching(state, batch):
      state, metrics = step(
          offload_lib.fetched(state, self._shardings(state)), batch)
      return offload_lib.put_back(state, self._shardings(state)), metrics
    return jax.jit(fetching, donate_argnums=0)

  def place(self, tree: Any) -> Any:
    """Returns a state or parameters on the device."""
    where = self._shardings(tree)
    return jax.device_put(
        tree, offload_lib.at_rest(where) if self._offload else where)

  def _shardings(self, tree):
    here = jax.sharding.SingleDeviceSharding(self.devices[0])
    return jax.tree.map(lambda _: here, tree)

  def gather(self, tree: Any) -> Any:
    """Returns a placed tree as one copy in device memory."""
    if self._offload:
      return offload_lib.fetched(tree, self._shardings(tree))
    return tree

  def drifted(self, tree: Any) -> list[str]:
    """Returns [], since a single device has no other copies."""
    del tree
    return []

  def fetch(self, metrics: Any) -> Any:
    """Waits for the metrics of steps and returns them on the host."""
    return jax.device_get(metrics)

  def shard(self, batch: Batch) -> Any:
    """Returns a host batch [B, ...] on the device."""
    return jax.device_put(dict(batch), self.devices[0])

  def map_batches(self, function: Callable[[Any, Any], Any]):
    """Returns `function(params, batch)` compiled, for evaluation.

    Args:
      function: Returns a tree of arrays whose first axis is the row.

    Returns:
      A function from placed parameters and a host batch to NumPy arrays. A
      batch shorter than previous ones is padded, so that it needs no
      compilation; the results have no padding.
    """
    compiled = jax.jit(function)
    return rows_lib.filled(
        lambda params, batch: compiled(params, self.shard(batch)), 1)


class Pmap:
  """Runs the step on all devices: each has the whole state and some rows.

  Placed arrays have a leading axis for the devices of this process. Gradients
  and metrics are summed over the axis named 'data' inside the step.
  """
  name = 'pmap'

  def __init__(self, devices: list[jax.Device] | None = None):
    self.devices = list(devices or jax.devices())
    self._local = [device for device in self.devices
                   if device.process_index == jax.process_index()]
    mesh = jax.sharding.Mesh(
        np.array(self._local), ('data',),
        axis_types=(jax.sharding.AxisType.Auto,))
    size = len(self._local)
    self.share = (self.devices.index(self._local[0]) // size,
                  len(self.devices) // size)
    named = functools.partial(jax.sharding.NamedSharding, mesh)
    self._split = named(jax.sharding.PartitionSpec('data'))
    self._same = named(jax.sharding.PartitionSpec())

  def compile(self, step: Callable[..., Any], microbatches: int = 1
              ) -> Callable[..., Any]:
    """See `Jit.compile`; each device runs `step(..., axis_name='data')`."""
    step = functools.partial(step, axis_name='data')
    return self._map(rows_lib.in_parts(step, microbatches), donate_argnums=0)

  def place(self, tree: Any) -> Any:
    """Returns a state or parameters as arrays [D, ...], a copy per device."""
    count = len(self._local)
    repeat = jax.jit(
        functools.partial(jax.tree.map, lambda x: jnp.broadcast_to(
            jnp.expand_dims(x, 0), (count, *x.shape))),
        out_shardings=self._split)  # Each device writes only its own copy.
    return repeat(jax.device_put(tree, self._same))

  def gather(self, tree: Any) -> Any:
    """Returns the first device's copy, without the leading axis."""
    return jax.tree.map(lambda x: x.addressable_data(0)[0], tree)

  def drifted(self, tree: Any) -> list[str]:
    """Returns the paths of arrays whose copies differ between devices."""
    return replicas.differing(tree, self.devices)

  def fetch(self, metrics: Any) -> Any:
    """Waits for the metrics of steps and returns one copy on the host."""
    shards = jax.tree.map(lambda x: x.addressable_data(0), metrics)
    return jax.tree.map(lambda x: x[0], jax.device_get(shards))

  def shard(self, batch: Batch) -> Any:
    """Returns a host batch [B, ...] as arrays [D, B / D, ...] on devices."""
    count, (_, shares) = len(self._local), self.share
    rows = rows_lib.count(batch)
    rows_lib.check(rows * shares, count * shares, 'devices')
    return jax.device_put(
        {k: np.reshape(v, (count, rows // count, *np.shape(v)[1:]))
         for k, v in batch.items()}, self._split)

  def map_batches(self, function: Callable[[Any, Any], Any]):
    """See `Jit.map_batches`; each device processes its share of the rows."""
    compiled = self._map(function)

    def mapped(params, batch):
      batch = rows_lib.part(batch, *self.share)
      out = jax.device_get(compiled(params, self.shard(batch)))
      out = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), out)
      return spread.joined(out) if self.share[1] > 1 else out

    return rows_lib.filled(mapped, len(self.devices))

  def _map(self, function, **kwargs):
    return jax.pmap(
        function, axis_name='data', devices=self.devices, **kwargs)


PARALLEL = {'jit': Jit, 'pmap': Pmap, 'mesh': mesh_lib.Mesh}


Strategy = Jit | Pmap | mesh_lib.Mesh


def strategy(parallel: str | Strategy, mesh: str | None = None,
             offload: str = 'none', sequence: str = 'ring') -> Strategy:
  """Returns the strategy with a name, over all devices.

  Args:
    parallel: A name from `PARALLEL`, or a strategy, which is returned.
    mesh: Sizes of the axes of 'mesh', such as 'data:2,fsdp:4'; None puts all
      devices along fsdp.
    offload: What to keep in host memory between steps: 'none', or the state of
      the 'optimizer'.
    sequence: How attention reaches all tokens of a row that devices divide.

  Raises:
    InputError: If the name is unknown, the sizes do not fit the devices, or the
      devices cannot use host memory.
  """
  if not isinstance(parallel, str):
    return parallel
  if parallel not in PARALLEL:
    raise errors.InputError(
        f'parallel is {parallel!r}; choose from {sorted(PARALLEL)}.'
        f'{config.near(parallel, PARALLEL)}')
  if parallel == 'jit' and jax.process_count() > 1:
    raise errors.InputError(
        f'parallel is \'jit\', which uses one device, but the run has '
        f'{jax.process_count()} processes; choose pmap or mesh.')
  if parallel == 'mesh':
    return mesh_lib.Mesh(
        sizes=mesh, offload=offload == 'optimizer', sequence=sequence)
  if offload == 'none':
    return PARALLEL[parallel]()
  if parallel == 'pmap':
    raise errors.InputError(
        'Under pmap the optimizer cannot be kept on the host (training.offload '
        f'= {offload}). Use --parallel=mesh --mesh=data:{len(jax.devices())}, '
        'which divides the work in the same way, or the axis fsdp in place of '
        'data, which divides the optimizer too.')
  return Jit(offload=True)
