"""Sharding of activations while a step for many devices is traced.

The compiler that partitions a program knows the sharding of parameters and
batch and guesses the sharding of activations. If rows and parameters are
divided over the same devices, it may gather the activations of all rows instead
of one layer's parameters. A model calls `tokens(x_BTD)` where this would
happen, and `whole` on a parameter that should be gathered.

Code here and in models names the meaning of an axis, such as 'rows', 'tokens'
or 'heads'; a table that comes with the mesh maps meanings to mesh axes.
"""
from collections.abc import Callable, Iterator, Mapping
import contextlib
import contextvars
import dataclasses
import math
from typing import Any

import jax

# From the meaning of an array's axis to the mesh axes it is divided over.
Table = Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Place:
  """The devices of a step that is being traced.

  Attributes:
    mesh: The devices.
    table: The mesh axes over which each meaning is divided.
    microbatches: Parts of a batch that pass through pipeline stages in turn.
    sequence: How attention reaches all tokens where devices divide them.
  """
  mesh: jax.sharding.Mesh
  table: Table
  microbatches: int = 1
  sequence: str = 'ring'


_PLACE = contextvars.ContextVar('place', default=None)


@contextlib.contextmanager
def divided(mesh: jax.sharding.Mesh, table: Table, microbatches: int = 1,
            sequence: str = 'ring') -> Iterator[None]:
  """Makes the functions below shard the arrays that are traced in the block.

  Args:
    mesh: The devices.
    table: The mesh axes over which each meaning is divided.
    microbatches: Parts of a batch that pass through pipeline stages in turn.
    sequence: How attention reaches all tokens where devices divide them: see
      `nn.distributed.divided`.
  """
  token = _PLACE.set(Place(mesh, table, microbatches, sequence))
  try:
    yield
  finally:
    _PLACE.reset(token)


def current() -> Place | None:
  """Returns the devices of the step that is being traced; None outside one."""
  return _PLACE.get()


def axes(meaning: str, size: int | None = None) -> tuple[str, ...]:
  """Returns the mesh axes, longer than 1, that an array's axis is divided over.

  Args:
    meaning: The axis's meaning, such as 'rows'.
    size: The axis's size; if the devices do not divide it evenly, the result
      is empty.
  """
  if (place := _PLACE.get()) is None:
    return ()
  found = tuple(axis for axis in place.table.get(meaning, ())
                if place.mesh.shape[axis] > 1)
  if size is not None and size % _count(place, found):
    return ()
  return found


def count(meaning: str) -> int:
  """Returns the number of parts that an axis with this meaning is divided into.
  """
  return 1 if (place := _PLACE.get()) is None else _count(place, axes(meaning))


def exchangeable(heads: int, key_heads: int, devices: int) -> bool:
  """Returns whether devices that divide tokens could divide heads instead.

  The number of query heads has to be a multiple of `devices`. The number of key
  heads has to be a multiple or a divisor of it; in the latter case several
  devices hold the same key head.
  """
  return heads % devices == 0 and (
      key_heads % devices == 0 or devices % key_heads == 0)


def tokens(x: jax.Array) -> jax.Array:
  """Returns `x`, of shape [B, T, ...], divided as rows and tokens are.

  The compiler chooses the sharding of the other axes, and of an axis that the
  devices do not divide evenly. Outside `divided`, `x` is returned unchanged.
  """
  return _constrained(x, {
      i: axes(name, x.shape[i]) for i, name in enumerate(('rows', 'tokens'))})


def whole(x: jax.Array, axis: int) -> jax.Array:
  """Returns `x` with one axis whole on every device.

  The compiler chooses the sharding of the other axes. Outside `divided`, `x` is
  returned unchanged.
  """
  return _constrained(x, {axis % x.ndim: None})


def over(x: jax.Array, meaning: str, axis: int = 0) -> jax.Array:
  """Returns `x` with one axis divided as its meaning requires.

  An axis that the devices do not divide evenly is left to the compiler.
  """
  return _constrained(x, {axis: axes(meaning, x.shape[axis])})


def mapped(function: Callable[..., Any], inputs: Any, outputs: Any
           ) -> Callable[..., Any]:
  """Returns `function` mapped over devices, each with its parts of the arrays.

  It can be called only inside `divided`.

  Args:
    function: Receives the parts on one device; may use mesh axes by name.
    inputs: For each argument, a tree of `PartitionSpec`s with the argument's
      structure or a prefix of it: see `spec`.
    outputs: The same for the returned value.
  """
  return jax.shard_map(
      function, mesh=_PLACE.get().mesh, in_specs=inputs, out_specs=outputs,
      check_vma=False)


def spec(**meanings: int | None) -> jax.sharding.PartitionSpec:
  """Returns the sharding of an array whose axes have these meanings and sizes.

  Args:
    **meanings: For each axis in order, its meaning and its size. If the size is
      None, the axis is divided without a check that it divides evenly.
  """
  return jax.sharding.PartitionSpec(*(
      axes(name, size) or None for name, size in meanings.items()))


def _count(place, names):
  return math.prod(place.mesh.shape[axis] for axis in names)


def _constrained(x, cuts):
  """Divides axes as given in `cuts`; the compiler chooses those with ()."""
  cuts = {axis: cut for axis, cut in cuts.items() if cut != ()}
  if (place := _PLACE.get()) is None or not cuts:
    return x
  cut = [jax.sharding.PartitionSpec.UNCONSTRAINED] * x.ndim
  for axis, names in cuts.items():
    cut[axis] = names
  return jax.lax.with_sharding_constraint(x, jax.sharding.NamedSharding(
      place.mesh, jax.sharding.PartitionSpec(*cut)))
