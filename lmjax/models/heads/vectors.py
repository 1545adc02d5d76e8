"""A backbone that maps each text to one vector, without a head."""
from collections.abc import Callable
import dataclasses
from typing import Any

import flax.linen as nn
import jax

from lmjax.core import errors
from lmjax.core import shapes
from lmjax.nn import attend as attend_lib
from lmjax.nn import readout


@dataclasses.dataclass(frozen=True)
class VectorsConfig:
  """One vector for each text.

  Attributes:
    pooling: How the hidden states of a text become its vector, as in
      `readout.Readout`.
    causal: Whether a decoder's tokens see only earlier tokens, as in
      pretraining; if False, it reads in both directions, like an encoder.

  References:
    Reimers and Gurevych, Sentence-BERT, arXiv:1908.10084, section 3.
  """
  pooling: readout.Pooling = 'mean'
  causal: bool = True

  def __post_init__(self):
    if self.pooling not in readout.POOLING:
      raise errors.InputError(
          f'task.head.pooling is {self.pooling!r}; choose from '
          f'{sorted(readout.POOLING)}.')

  def build(self, backbone: Any,
            attend: Callable[..., jax.Array] = attend_lib.best) -> 'Vectors':
    """Returns the module.

    Args:
      backbone: The config of any trained model, with its vocabulary size.
      attend: Replaces the arithmetic of attention.
    """
    return Vectors(self, backbone, attend=attend)


class Vectors(nn.Module):
  """Maps token ids to one vector per row.

  Parameters: the backbone's, with the same names, but without an untied output
  layer.
  """
  config: VectorsConfig
  backbone: Any
  head: str = 'vectors'  # It has no parameters of its own.
  attend: Callable[..., jax.Array] = attend_lib.best
  tells_apart = True  # Each text is read alone.

  @nn.compact
  def __call__(self, inputs_BT: jax.Array, positions_BT: jax.Array,
               segments_BT: jax.Array, *, train: bool = False) -> jax.Array:
    """Returns float32 `x_BD`; a row without real tokens has a finite vector.

    Args:
      inputs_BT: Token ids.
      positions_BT: Positions of the tokens, from 0.
      segments_BT: 1 for real tokens, 0 for padding.
      train: Whether dropout is on; it then uses the 'dropout' rng.
    """
    shapes.bind(inputs_BT=inputs_BT, positions_BT=positions_BT,
                segments_BT=segments_BT)
    body = self.backbone.build(attend=self.attend)
    nn.share_scope(self, body)  # `layer_0/...`, not `backbone/layer_0/...`.
    x_BTD = readout.states(
        body, inputs_BT, positions_BT, segments_BT, causal=self.config.causal,
        train=train)
    return readout.Readout(self.config.pooling).pooled(x_BTD, segments_BT > 0)
