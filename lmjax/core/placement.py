"""Where activations lie while a step that many devices share is traced.

A compiler that divides a program over devices knows how parameters and batch
lie and guesses the rest. Where rows and parameters are divided over the same
devices it may guess wrong, and gather the activations of all rows instead of
one layer's parameters. A model says `rows(x_BTD)` where that would happen, and
`whole` of a parameter that it should gather.
"""
from collections.abc import Iterator
import contextlib
import contextvars
import math

import jax

_PLACE = contextvars.ContextVar('place', default=None)


@contextlib.contextmanager
def divided(mesh: jax.sharding.Mesh, axes: tuple[str, ...]) -> Iterator[None]:
  """Lets `rows` and `whole` act on what is traced inside.

  Args:
    mesh: The devices.
    axes: Those axes of the mesh over which the rows of a batch are divided.
  """
  token = _PLACE.set((mesh, axes))
  try:
    yield
  finally:
    _PLACE.reset(token)


def rows(x: jax.Array) -> jax.Array:
  """Returns `x`, whose first axis is the batch's, with its rows divided.

  Its other axes are left to the compiler. Outside `divided`, and where rows do
  not divide, `x` is returned as it is.
  """
  if (place := _PLACE.get()) is None:
    return x
  mesh, axes = place
  if x.shape[0] % math.prod(mesh.shape[axis] for axis in axes):
    return x
  return _constrained(x, mesh, 0, axes)


def whole(x: jax.Array, axis: int) -> jax.Array:
  """Returns `x` with one axis whole on every device, the others as they are.

  Outside `divided`, `x` is returned as it is.
  """
  if (place := _PLACE.get()) is None:
    return x
  return _constrained(x, place[0], axis, None)


def _constrained(x, mesh, axis, value):
  spec = [jax.sharding.PartitionSpec.UNCONSTRAINED] * x.ndim
  spec[axis] = value
  return jax.lax.with_sharding_constraint(x, jax.sharding.NamedSharding(
      mesh, jax.sharding.PartitionSpec(*spec)))
