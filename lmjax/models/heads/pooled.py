"""A backbone with a head on one pooled vector of each text."""
from collections.abc import Callable
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.nn import attend as attend_lib
from lmjax.nn import layers
from lmjax.nn import readout


@dataclasses.dataclass(frozen=True)
@ranges.checked
class PooledConfig:
  """One vector for each text, and C outputs from this vector.

  Attributes:
    pooling: 'mean' or 'max' over the real tokens, or the 'last' token, the only
      one that sees all others under a causal mask.
    causal: Whether a decoder's tokens see only earlier tokens, as in
      pretraining; if False, it reads in both directions, like an encoder.
    dropout: Dropout rate on the pooled vector.
    init_std: Standard deviation of the head's initial kernel.

  References:
    Radford et al., Improving Language Understanding by Generative
    Pre-Training, 2018, section 3.2 (a linear head on a decoder's last token).
  """
  pooling: Literal['mean', 'max', 'last'] = 'mean'
  causal: bool = True
  dropout: ranges.Rate = 0.1
  init_std: ranges.NonNegative = 0.02

  def __post_init__(self):
    check(self.pooling)

  def build(self, backbone: Any, outputs: int, head: str = 'classes',
            texts: int = 1, attend: Callable[..., jax.Array] = attend_lib.best
            ) -> 'Pooled':
    """Returns the module.

    Args:
      backbone: The config of any trained model, with its vocabulary size.
      outputs: C, the number of outputs per text.
      head: The name of the head in the parameters.
      texts: Number of texts of an example; this head reads them as one row.
      attend: Replaces the arithmetic of attention.
    """
    del texts
    return Pooled(self, backbone, outputs, head, attend)


class Pooled(nn.Module):
  """Maps token ids to C outputs per text: logits of classes, or numbers.

  Parameters: the backbone's, with the same names, but without an untied output
  layer; and the head's, such as `classes/kernel` [D, C] and `classes/bias`.
  """
  config: PooledConfig
  backbone: Any
  outputs: int
  head: str = 'classes'
  attend: Callable[..., jax.Array] = attend_lib.best

  @property
  def tells_apart(self) -> bool:
    """Whether it uses which text of a pair each token is from."""
    return self.backbone.traits.types > 1

  @nn.compact
  def __call__(self, inputs_BT: jax.Array, positions_BT: jax.Array,
               segments_BT: jax.Array, *, types_BT: jax.Array | None = None,
               train: bool = False) -> jax.Array:
    """Reads each row.

    Args:
      inputs_BT: Token ids.
      positions_BT: Positions of the tokens, from 0.
      segments_BT: 1 for real tokens, 0 for padding.
      types_BT: Which text of a pair each token is from, for backbones with
        token types.
      train: Whether dropout is on; it then uses the 'dropout' rng.

    Returns:
      Float32 `logits_BC`; a row without real tokens has finite logits.
    """
    config = self.config
    shapes.bind(inputs_BT=inputs_BT, positions_BT=positions_BT,
                segments_BT=segments_BT, types_BT=types_BT)
    body = self.backbone.build(attend=self.attend)
    nn.share_scope(self, body)  # `layer_0/...`, not `backbone/layer_0/...`.
    x_BTD = readout.states(
        body, inputs_BT, positions_BT, segments_BT, types_BT=types_BT,
        causal=config.causal, train=train)
    x_BD = POOLING[config.pooling](x_BTD, segments_BT > 0)
    x_BD = layers.Dropout(
        config.dropout, deterministic=not train, name='pooled_dropout')(x_BD)
    policy = layers.Policy(self.backbone.dtype, config.init_std)
    return layers.Head(
        self.outputs, policy, use_bias=True, name=self.head)(x_BD)


def check(pooling: str) -> None:
  """Raises InputError for an unknown pooling."""
  if pooling not in POOLING:
    raise errors.InputError(
        f'head.pooling is {pooling!r}; choose from {sorted(POOLING)}.')


POOLING = {
    'mean': readout.mean, 'max': readout.largest, 'last': readout.last}
