"""Parameters that make mistakes visible."""
from typing import Any

import jax
import numpy as np

from lmjax.core import trees

_SCALES = ('scale', 'gamma')
_BIASES = ('bias', 'beta')


def hot_params(params: Any, seed: int = 0, std: float = 0.15) -> Any:
  """Returns parameters of the same shapes, drawn so that all of them matter.

  Freshly initialised models hide bugs: with a standard deviation of 0.02
  attention is almost uniform, norm scales are 1 and biases 0, so that a wrong
  rotary layout changes the logits by 6e-3 and the wrong GELU by 1e-5. Here
  kernels and embeddings are N(0, std^2), scales 1 + N(0, 0.1^2) and biases
  N(0, 0.1^2), so that a wrong sign, order or constant changes the output
  visibly.

  Args:
    params: Arrays or their shapes. A leaf named `scale` or `gamma` is a scale,
      one named `bias` or `beta` a bias; all others are kernels.
    seed: Seed of the draw, which also depends on names and shapes.
    std: Standard deviation of kernels and embeddings.

  Example:
    >>> hot = hot_params({'kernel': jax.ShapeDtypeStruct((64, 64), 'float32')})
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
    # Cast by NumPy and only put on the device: otherwise JAX would compile
    # two programs for each shape.
    return jax.device_put(np.asarray(noise, leaf.dtype))

  return trees.map_paths(draw, params)
