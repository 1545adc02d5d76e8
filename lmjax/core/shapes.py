"""Axis letters, and a trace-time check that names and shapes agree."""
import types

import jax


def bind(**arrays: jax.Array | None) -> types.SimpleNamespace:
  """Binds the axis letters in `name_BTD` to sizes and checks that arrays agree.

  The letters follow `jax.nn.dot_product_attention`: B batch, T queries, S keys,
  D width, N query heads, K key heads, H head size, V vocabulary.

  Args:
    **arrays: Arrays by name; the name's suffix has one letter for each axis.
      None is skipped, so that optional arguments can be passed directly.

  Returns:
    A namespace from letter to size: `bind(x_BTD=x).D` is `x.shape[-1]`.

  Raises:
    ValueError: If an argument is no array, or a rank or a size disagrees with
      the letters bound so far.

  Example:
    >>> import numpy as np
    >>> bind(x_BTD=np.zeros((2, 3, 4))).D
    4
  """
  sizes, source = {}, {}
  for name, x in arrays.items():
    if x is None:
      continue
    axes = name.rpartition('_')[2]
    if isinstance(x, (list, tuple, bool, int, float)):
      raise ValueError(
          f'{name} should be an array with {len(axes)} axes ({axes}), such as '
          f'jnp.asarray(...); got a {type(x).__name__}.')
    if len(axes) != x.ndim:
      raise ValueError(
          f'{name} should have {len(axes)} axes ({axes}), got shape {x.shape}.')
    for axis, size in zip(axes, x.shape):
      if sizes.setdefault(axis, size) != size:
        raise ValueError(
            f'{name} has {axis}={size}, but {source[axis]} has '
            f'{axis}={sizes[axis]} (shape {x.shape}).')
      source.setdefault(axis, name)
  return types.SimpleNamespace(**sizes)
