"""Matrix products with parameters that are arrays or `Kernel` objects.

Layers multiply with `product`, look up vectors with `rows`, and declare
matrices with `parameter`. A matrix is an array or a `Kernel`: a quantised or an
adapted matrix is a subclass, which takes the place of the array in a parameter
tree.
"""
import abc
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import placement


class Kernel(abc.ABC):
  """A matrix of parameters that is not stored as a single array.

  A subclass is a pytree, such as a `flax.struct.dataclass`, so that it can be
  part of a parameter tree: JAX traces, scans and differentiates its arrays. A
  subclass must define `shape` and `array`. It overrides `product` and `rows`
  where it can compute them without making the array.

  Example:
    A matrix with a correction of rank 1:

    >>> from flax import struct
    >>> @struct.dataclass
    ... class Corrected(Kernel):
    ...   kernel_DF: jax.Array
    ...   left_D1: jax.Array
    ...   right_1F: jax.Array
    ...   @property
    ...   def shape(self):
    ...     return self.kernel_DF.shape
    ...   def array(self, dtype):
    ...     return (self.kernel_DF + self.left_D1 @ self.right_1F).astype(dtype)
    >>> kernel = Corrected(jnp.eye(2), jnp.ones((2, 1)), jnp.ones((1, 2)))
    >>> product(jnp.ones((1, 2)), kernel, 'float32').tolist()
    [[3.0, 3.0]]
  """

  @property
  @abc.abstractmethod
  def shape(self) -> tuple[int, ...]:
    """The shape of the matrix, [D, F], or of a stack of them, [E, D, F]."""

  @abc.abstractmethod
  def array(self, dtype) -> jax.Array:
    """Returns the matrix as an array."""

  def product(self, x: jax.Array, *, transposed: bool = False,
              wide: bool = False) -> jax.Array:
    """Returns the product; see the function `product` for the arguments."""
    return _product(x, self.array(x.dtype), transposed, wide)

  def rows(self, ids: jax.Array, dtype) -> jax.Array:
    """Returns the rows of a [V, D] matrix; ids from V on give NaN."""
    return jnp.take(self.array(dtype), ids, axis=0, mode='fill')


def parameter(module: nn.Module, name: str, init: Callable[..., jax.Array],
              shape: tuple[int, ...]) -> jax.Array | Kernel:
  """Declares a matrix of a module and returns it: an array or a `Kernel`.

  Args:
    module: The module, within its `setup` or a compact method.
    name: The parameter's name.
    init: Draws the initial array.
    shape: The shape of the matrix.

  Raises:
    InputError: If the parameter is a `Kernel` with another shape.
  """
  if module.has_variable('params', name):
    given = module.get_variable('params', name)
    if isinstance(given, Kernel):
      if given.shape != shape:
        path = '/'.join((*module.path, name))
        raise errors.InputError(
            f'Parameter {path} should have shape {shape}; got a '
            f'{type(given).__name__} of shape {given.shape}.')
      return given
  return module.param(name, init, shape)


def product(x: jax.Array, kernel: jax.Array | Kernel, dtype, *,
            transposed: bool = False, wide: bool = False) -> jax.Array:
  """Multiplies vectors by a matrix of parameters.

  Args:
    x: The vectors, along the last axis.
    kernel: The matrix, [D, F].
    dtype: Both operands are cast to this dtype.
    transposed: Whether the matrix is [F, D].
    wide: Whether the result is float32 instead of `dtype`.
  """
  x = x.astype(dtype)
  if isinstance(kernel, Kernel):
    return kernel.product(x, transposed=transposed, wide=wide)
  return _product(x, kernel.astype(dtype), transposed, wide)


def array(kernel: jax.Array | Kernel, dtype) -> jax.Array:
  """Returns a matrix of parameters as an array."""
  if isinstance(kernel, Kernel):
    return kernel.array(dtype)
  return kernel.astype(dtype)


def rows(table: jax.Array | Kernel, ids: jax.Array, dtype) -> jax.Array:
  """Returns the rows of a [V, D] matrix by their ids; ids from V on give NaN.
  """
  if isinstance(table, Kernel):
    return table.rows(ids, dtype)
  table = placement.whole(table.astype(dtype), -1)
  return jnp.take(table, ids, axis=0, mode='fill')


def _product(x, kernel, transposed, wide):
  axis = 1 if transposed else 0
  return jax.lax.dot_general(
      x, kernel, (((x.ndim - 1,), (axis,)), ((), ())),
      preferred_element_type=jnp.float32 if wide else x.dtype)
