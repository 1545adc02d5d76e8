"""Where activations lie while a step that many devices share is traced.

A compiler that divides a program over devices knows how parameters and batch
lie and guesses the rest. Where rows and parameters are divided over the same
devices it may guess wrong, and gather the activations of all rows instead of
one layer's parameters. A model says `tokens(x_BTD)` where that would happen,
and `whole` of a parameter that it should gather.

Code here and in models names the meaning of an axis, such as 'rows', 'tokens'
or 'heads'; a table that comes with the mesh names the devices' axes for it.
"""
from collections.abc import Callable, Iterator, Mapping
import contextlib
import contextvars
import dataclasses
import math
from typing import Any

import jax

# What an axis of an array means -> the axes of the mesh it is divided over.
Table = Mapping[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Place:
  """The devices of a step that is being traced.

  Attributes:
    mesh: They.
    table: What is divided over which of its axes.
    microbatches: Parts of a batch that follow each other through stages.
    sequence: How attention meets all tokens where devices divide them.
  """
  mesh: jax.sharding.Mesh
  table: Table
  microbatches: int = 1
  sequence: str = 'ring'


_PLACE = contextvars.ContextVar('place', default=None)


@contextlib.contextmanager
def divided(mesh: jax.sharding.Mesh, table: Table, microbatches: int = 1,
            sequence: str = 'ring') -> Iterator[None]:
  """Lets the functions below act on what is traced inside.

  Args:
    mesh: The devices.
    table: What is divided over which axes of the mesh.
    microbatches: Parts of a batch that follow each other through stages.
    sequence: How attention meets all tokens where devices divide them: see
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
  """Returns the mesh axes, longer than 1, that an axis of arrays lies over.

  Args:
    meaning: Of the axis.
    size: Its size; one that does not divide lies over none.
  """
  if (place := _PLACE.get()) is None:
    return ()
  found = tuple(axis for axis in place.table.get(meaning, ())
                if place.mesh.shape[axis] > 1)
  if size is not None and size % _count(place, found):
    return ()
  return found


def count(meaning: str) -> int:
  """Returns into how many parts an axis of that meaning is divided."""
  return 1 if (place := _PLACE.get()) is None else _count(place, axes(meaning))


def exchangeable(heads: int, key_heads: int, devices: int) -> bool:
  """Returns whether devices that share tokens can share heads instead.

  Query heads have to divide over them; of fewer key heads than devices, as many
  devices hold each.
  """
  return heads % devices == 0 and (
      key_heads % devices == 0 or devices % key_heads == 0)


def tokens(x: jax.Array) -> jax.Array:
  """Returns `x`, which is [B, T, ...], divided as rows and tokens are.

  Other axes are left to the compiler, and so is one that does not divide.
  Outside `divided`, `x` is returned as it is.
  """
  return _constrained(x, {
      i: axes(name, x.shape[i]) for i, name in enumerate(('rows', 'tokens'))})


def whole(x: jax.Array, axis: int) -> jax.Array:
  """Returns `x` with one axis whole on every device, the others as they are.

  Outside `divided`, `x` is returned as it is.
  """
  return _constrained(x, {axis % x.ndim: None})


def over(x: jax.Array, meaning: str, axis: int = 0) -> jax.Array:
  """Returns `x` with one axis divided as its meaning says, if it divides."""
  return _constrained(x, {axis: axes(meaning, x.shape[axis])})


def mapped(function: Callable[..., Any], inputs: Any, outputs: Any
           ) -> Callable[..., Any]:
  """Returns `function` as each device computes it on its parts of arrays.

  Only inside `divided`.

  Args:
    function: Sees what one device has, and may use the mesh's axes by name.
    inputs: For each argument a tree, like it or a prefix of it, of
      `PartitionSpec`s: see `spec`.
    outputs: The same for what it returns.
  """
  return jax.shard_map(
      function, mesh=_PLACE.get().mesh, in_specs=inputs, out_specs=outputs,
      check_vma=False)


def spec(**meanings: int | None) -> jax.sharding.PartitionSpec:
  """Returns how an array lies whose axes have these meanings and sizes.

  Args:
    **meanings: For each axis in order, its meaning and its size; one of size
      None divides in any case.
  """
  return jax.sharding.PartitionSpec(*(
      axes(name, size) or None for name, size in meanings.items()))


def _count(place, names):
  return math.prod(place.mesh.shape[axis] for axis in names)


def _constrained(x, cuts):
  """Divides axes as `cuts` says; () leaves them to the compiler."""
  cuts = {axis: cut for axis, cut in cuts.items() if cut != ()}
  if (place := _PLACE.get()) is None or not cuts:
    return x
  cut = [jax.sharding.PartitionSpec.UNCONSTRAINED] * x.ndim
  for axis, names in cuts.items():
    cut[axis] = names
  return jax.lax.with_sharding_constraint(x, jax.sharding.NamedSharding(
      place.mesh, jax.sharding.PartitionSpec(*cut)))
