"""Named places in a model, where values can be read and written.

A module calls `tap` where there is something to see; unless somebody asks, that
is nothing at all in the program. `capture` asks: it runs a model and returns
what passed at the places named, and can put other values in their stead, as
activation patching does. It works under `jit`, `grad`, remat, scanned layers
and layers that lie on different devices.

The places of a Transformer: `embedding`; in each block `input`, `after_mixer`
and `after_mlp`, the residual stream; in each attention `queries`, `keys`,
`values` (of the T tokens, or of the memory that they read) and `weights`;
`after_cross` where a decoder reads a memory; `final`, the normed residual
stream; `logits`. A user's own modules may have others.
"""
from collections.abc import Callable, Collection, Iterator, Mapping
import contextlib
import contextvars
from typing import Any

from flax import struct
import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors

READ, WRITE = 'taps', 'patches'  # Flax's collections.
SCANNED = {READ: 0, WRITE: 0}  # Their axes, for `nn.scan`'s `variable_axes`.
_wanted = contextvars.ContextVar('wanted', default=frozenset())


@struct.dataclass
class Patch:
  """What to put at a place.

  Attributes:
    value: The value.
    where: Where to put it, True or False, of a shape that broadcasts to it.
  """
  value: jax.Array
  where: jax.Array | bool = True


def tap(module: nn.Module, name: str, x: jax.Array) -> jax.Array:
  """Returns `x`, or what was written at this place of the module.

  Args:
    module: The module whose place it is.
    name: The place's name, which no parameter or submodule of it has.
    x: What passes.
  """
  if module.has_variable(WRITE, name):
    patch = module.get_variable(WRITE, name)
    x = jnp.where(patch.where, patch.value, x).astype(x.dtype)
  if name in _wanted.get():
    module.sow(READ, name, x)
  return x


def asked(module: nn.Module, name: str) -> bool:
  """Returns whether a place is read or written, if its value costs extra."""
  return name in _wanted.get() or written(module, name)


def written(module: nn.Module, name: str) -> bool:
  """Returns whether another value was given for a place."""
  return module.has_variable(WRITE, name)


def capture(model: nn.Module, names: Collection[str], *,
            patches: Mapping[str, Any] | None = None,
            method: str = '__call__') -> Callable[..., tuple[Any, Any]]:
  """Returns a function that runs a model and reads what passes at some places.

  The function takes the model's parameters and then the arguments of its
  method, and returns what the method does, and the values: a tree in the layout
  of the parameters, with places for names. For a scanned model, its layers'
  values have a leading axis of layers, as their parameters do, and
  `core.layouts.looped` makes of them what the looped model gives.

  Args:
    model: The module.
    names: The names of places, wherever in the model they are.
    patches: A tree in the same layout, of `Patch` for places to write at.
    method: Which method of the model to call.

  Raises:
    InputError: When called, if the model has no place of a name.

  Example:
    >>> class Double(nn.Module):
    ...   @nn.compact
    ...   def __call__(self, x):
    ...     return 2 * tap(self, 'input', x)
    >>> out, values = capture(Double(), ['input'])({}, jnp.ones(()))
    >>> float(out), float(values['input'])
    (2.0, 1.0)
    >>> patches = {'input': Patch(jnp.full((), 5.0))}
    >>> float(capture(Double(), [], patches=patches)({}, jnp.ones(()))[0])
    10.0
  """
  def captured(params, *args, **options):
    variables = {'params': params}
    if patches is not None:
      variables[WRITE] = jax.tree.map(
          lambda patch: patch.replace(where=jnp.broadcast_to(
              patch.where, jnp.shape(patch.value))),
          patches, is_leaf=lambda x: isinstance(x, Patch))
    with _reading(names):
      out, found = model.apply(
          variables, *args, method=method, mutable=[READ], **options)
    values = jax.tree.map(
        _together, found.get(READ, {}), is_leaf=lambda x: isinstance(x, tuple))
    missing = set(names) - set(_places(values))
    if missing:
      raise errors.InputError(
          f'{type(model).__name__} has no place called '
          f'{", ".join(sorted(missing))} in {method}; see lmjax.nn.taps for '
          'the names.')
    return out, values
  return captured


@contextlib.contextmanager
def _reading(names: Collection[str]) -> Iterator[None]:
  """Reads these places in what is traced meanwhile."""
  token = _wanted.set(frozenset(names))
  try:
    yield
  finally:
    _wanted.reset(token)


def _together(passed: tuple[jax.Array, ...]) -> jax.Array:
  """Returns what passed; if a module was used repeatedly, with an axis more."""
  return passed[0] if len(passed) == 1 else jnp.stack(passed)


def _places(values: Any) -> Iterator[str]:
  for name, value in values.items():
    if isinstance(value, Mapping):
      yield from _places(value)
    else:
      yield name
