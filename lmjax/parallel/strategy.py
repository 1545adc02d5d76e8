"""Where a step runs: one device, or all there are, as replicas or as a mesh.

A strategy compiles the step, places the state and the batches, and brings
state and metrics back. The step is the same function under each, and so are
the numbers.
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
  """One device."""
  name = 'jit'
  share = 0, 1  # Which part of a batch's rows this process reads, of how many.

  def __init__(self, devices: list[jax.Device] | None = None,
               offload: bool = False):
    """Takes the first device.

    Args:
      devices: Of which it is the first; None: all local ones.
      offload: Whether the optimizer's state waits in the host's memory.
    """
    self.devices = list(devices or jax.local_devices())[:1]
    self._offload = offload
    if offload:
      offload_lib.check(self.devices)

  def compile(self, step: Callable[..., Any], microbatches: int = 1
              ) -> Callable[..., Any]:
    """Returns `step(state, batch)` compiled; it consumes the state.

    Args:
      step: Takes `microbatches` as well, if there are several.
      microbatches: Parts into which the batch is cut to save memory.
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
    """Returns one copy of what `place` or a step returned."""
    if self._offload:
      return offload_lib.fetched(tree, self._shardings(tree))
    return tree

  def drifted(self, tree: Any) -> list[str]:
    """Returns what differs between devices: nothing on a single one."""
    del tree
    return []

  def fetch(self, metrics: Any) -> Any:
    """Returns metrics of steps on the host; waits for them."""
    return jax.device_get(metrics)

  def shard(self, batch: Batch) -> Any:
    """Returns a host batch [B, ...], this process' share, on the device."""
    return jax.device_put(dict(batch), self.devices[0])

  def map_batches(self, function: Callable[[Any, Any], Any]):
    """Returns `function(params, batch)` compiled, for evaluation.

    Args:
      function: Returns a tree of arrays whose first axis is the batch's.

    Returns:
      A function of placed parameters and a host batch, returning NumPy arrays.
      Batches may shrink (the last one does): they are filled up with rows of
      zeros, which are cut off again, rather than compiled anew.
    """
    compiled = jax.jit(function)
    return rows_lib.filled(
        lambda params, batch: compiled(params, self.shard(batch)), 1)


class Pmap:
  """All devices: replicated state, each device a share of the rows.

  Arrays gain a leading axis, the device; a process has those of its own.
  Gradients and metrics are summed over the axis named 'data' inside the step.
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
    """As `Jit.compile`: `step(..., axis_name='data')` on each device."""
    step = functools.partial(step, axis_name='data')
    return self._map(rows_lib.in_parts(step, microbatches), donate_argnums=0)

  def place(self, tree: Any) -> Any:
    """Returns a state or parameters with a copy on every device, [D, ...]."""
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
    """Returns the paths of a placed tree that differ between devices."""
    return replicas.differing(tree, self.devices)

  def fetch(self, metrics: Any) -> Any:
    """Returns metrics, the same on every device, on the host."""
    shards = jax.tree.map(lambda x: x.addressable_data(0), metrics)
    return jax.tree.map(lambda x: x[0], jax.device_get(shards))

  def shard(self, batch: Batch) -> Any:
    """Returns a host batch [B, ...] as [D, B / D, ...], a row on one device."""
    count, (_, shares) = len(self._local), self.share
    rows = rows_lib.count(batch)
    rows_lib.check(rows * shares, count * shares, 'devices')
    return jax.device_put(
        {k: np.reshape(v, (count, rows // count, *np.shape(v)[1:]))
         for k, v in batch.items()}, self._split)

  def map_batches(self, function: Callable[[Any, Any], Any]):
    """As `Jit.map_batches`, each device on its share of the rows."""
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
  """Returns the strategy of that name over all devices, or itself.

  Args:
    parallel: A name of `PARALLEL`, or a strategy.
    mesh: Sizes of the axes of 'mesh', such as 'data:2,fsdp:4'; None: all
      devices along fsdp.
    offload: What waits in the host's memory between steps: 'none', or the
      'optimizer'.
    sequence: How attention meets all tokens of a row that devices divide.

  Raises:
    InputError: If there is no such strategy, the sizes do not fit, or the
      devices have no such memory.
  """
  if not isinstance(parallel, str):
    return parallel
  if parallel not in PARALLEL:
    raise errors.InputError(
        f'parallel is {parallel!r}; choose from {sorted(PARALLEL)}.'
        f'{config.near(parallel, PARALLEL)}')
  if parallel == 'jit' and jax.process_count() > 1:
    raise errors.InputError(
        f'parallel is \'jit\', which is one device, but the run has '
        f'{jax.process_count()} processes; choose pmap or mesh.')
  if parallel == 'mesh':
    return mesh_lib.Mesh(
        sizes=mesh, offload=offload == 'optimizer', sequence=sequence)
  if offload == 'none':
    return PARALLEL[parallel]()
  if parallel == 'pmap':
    raise errors.InputError(
        'Under pmap the optimizer cannot wait on the host (training.offload = '
        f'{offload}); --parallel=mesh --mesh=data:{len(jax.devices())} divides '
        'the same work, or fsdp the optimizer as well.')
  return Jit(offload=True)
