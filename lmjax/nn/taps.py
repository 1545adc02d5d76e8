"""Taps: named places in a model where values can be read and replaced.

A module calls `tap` on each value of interest. Without `capture` a tap adds
nothing to the compiled program. `capture` runs a model, returns the values at
the named places, and can replace them, for activation patching. It works under
`jit`, `grad`, remat, scanned layers and layers divided over devices.

A Transformer has these places: `embedding`; in each block `input`,
`after_mixer` and `after_mlp` (the residual stream), and `after_cross` if it
attends to a memory; in each attention `queries`, `keys`, `values` (of the T
tokens or of the memory) and `weights`; `final`, the normed residual stream; and
`logits`. Your own modules may have other places.
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

READ, WRITE = 'taps', 'patches'  # Names of Flax collections.
SCANNED = {READ: 0, WRITE: 0}  # For `variable_axes` of `nn.scan`.
_wanted = contextvars.ContextVar('wanted', default=frozenset())


@struct.dataclass
class Patch:
  """A replacement for the value at a place.

  Attributes:
    value: The new value.
    where: True where the value is replaced; broadcasts to the value's shape.
  """
  value: jax.Array
  where: jax.Array | bool = True


def tap(module: nn.Module, name: str, x: jax.Array) -> jax.Array:
  """Returns `x`, or its replacement if there is a patch for this place.

  Args:
    module: The module that has the place.
    name: The name of the place; no parameter or submodule of the module may
      have the same name.
    x: The value at this place.
  """
  if module.has_variable(WRITE, name):
    patch = module.get_variable(WRITE, name)
    x = jnp.where(patch.where, patch.value, x).astype(x.dtype)
  if name in _wanted.get():
    module.sow(READ, name, x)
  return x


def asked(module: nn.Module, name: str) -> bool:
  """Returns whether a place is read or patched; for values that cost extra."""
  return name in _wanted.get() or written(module, name)


def written(module: nn.Module, name: str) -> bool:
  """Returns whether there is a patch for a place."""
  return module.has_variable(WRITE, name)


def capture(model: nn.Module, names: Collection[str], *,
            patches: Mapping[str, Any] | None = None,
            method: str = '__call__') -> Callable[..., tuple[Any, Any]]:
  """Returns a function that runs a model and returns values at named places.

  The function takes the model's parameters followed by the arguments of the
  method. It returns the method's result and a tree of values, with the same
  nesting as the parameters and the names of places as keys. In a scanned model
  the values in layers have a leading axis of layers, like the parameters;
  `core.layouts.looped` converts them to the layout of a looped model.

  Args:
    model: The module.
    names: The names of the places to read, in any part of the model.
    patches: A tree with the same nesting, with a `Patch` for each place to
      replace.
    method: The method of the model to call.

  Raises:
    InputError: When called, if the model has no place with one of the names.

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
  """Makes `tap` read these places in code traced within the context."""
  token = _wanted.set(frozenset(names))
  try:
    yield
  finally:
    _wanted.reset(token)


def _together(passed: tuple[jax.Array, ...]) -> jax.Array:
  """Returns a place's value; a leading axis stacks repeated calls of a module.
  """
  return passed[0] if len(passed) == 1 else jnp.stack(passed)


def _places(values: Any) -> Iterator[str]:
  for name, value in values.items():
    if isinstance(value, Mapping):
      yield from _places(value)
    else:
      yield name
