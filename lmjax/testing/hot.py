"""Parameters that make mistakes visible."""
from typing import Any

import jax.numpy as jnp
import numpy as np

from lmjax.core import trees

_SCALES = ('scale', 'gamma')
_BIASES = ('bias', 'beta')


def hot_params(params: Any, seed: int = 0, std: float = 0.15) -> Any:
  """Returns parameters of the same shapes, drawn so that no part is idle.

  Freshly initialised models hide their bugs: with a standard deviation of 0.02
  attention is all but uniform, norm scales are one and biases zero, so that a
  wrong rotary layout moves the logits by 6e-3 and the wrong GELU by 1e-5. Here
  kernels and embeddings are N(0, std^2), scales 1 + N(0, 0.1^2) and biases
  N(0, 0.1^2), and a wrong sign, order or constant anywhere shows.

  Args:
    params: Arrays or their shapes. What a leaf is, its name tells: `scale` or
      `gamma`, `bias` or `beta`; all others are kernels.
    seed: Of the draw, which depends on nothing else but names and shapes.
    std: Standard deviation of kernels and embeddings.

  Example:
    >>> hot = hot_params({'kernel': jnp.zeros((64, 64)), 'scale': jnp.ones(3)})
    >>> round(float(hot['kernel'].std()), 2)
    0.15
  """
  rng = np.random.default_rng(seed)

  def draw(path, leaf):
    name = path.rpartition('/')[2]
    noise = rng.standard_normal(leaf.shape)
    if name in _SCALES:
      noise = 1 + 0.1 * noise
    elif name in _BIASES:
      noise = 0.1 * noise
    else:
      noise = std * noise
    return jnp.asarray(noise, leaf.dtype)

  return trees.map_paths(draw, params)
