"""A backbone with a head that reads one vector of each text."""
from collections.abc import Callable
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax

from lmjax.core import errors
from lmjax.core import shapes
from lmjax.nn import attend as attend_lib
from lmjax.nn import layers
from lmjax.nn import readout


@dataclasses.dataclass(frozen=True)
class PooledConfig:
  """How a text becomes one vector, and that vector C outputs.

  Attributes:
    pooling: 'mean' over the real tokens, 'max' over them, or the 'last' one,
      the only one that has seen all others under a causal mask.
    causal: Whether a decoder's tokens see only what came before them, as in
      pretraining; without, it reads in both directions, as an encoder does.
    dropout: Rate on the pooled vector.
    init_std: Standard deviation of the head's initial kernel.

  References:
    Radford et al., Improving Language Understanding by Generative
    Pre-Training, 2018, section 3.2 (a linear head on a decoder's last token).
  """
  pooling: Literal['mean', 'max', 'last'] = 'mean'
  causal: bool = True
  dropout: float = 0.1
  init_std: float = 0.02

  def __post_init__(self):
    check(self.pooling, self.dropout)

  def build(self, backbone: Any, outputs: int, head: str = 'classes',
            texts: int = 1, attend: Callable[..., jax.Array] = attend_lib.best
            ) -> 'Pooled':
    """Returns the module.

    Args:
      backbone: The config of any trained model, with its vocabulary.
      outputs: C, the number of outputs a text.
      head: The name under which the head's parameters are.
      texts: How many texts an example has; this head reads any number as one.
      attend: Replaces the arithmetic of attention.
    """
    del texts
    return Pooled(self, backbone, outputs, head, attend)


class Pooled(nn.Module):
  """Token ids in, C outputs a text out: logits of classes, or numbers.

  Parameters: those of the backbone under the backbone's own names, without an
  untied output layer, and the head's, such as `classes/kernel` [D, C] and
  `classes/bias`.
  """
  config: PooledConfig
  backbone: Any
  outputs: int
  head: str = 'classes'
  attend: Callable[..., jax.Array] = attend_lib.best

  @property
  def tells_apart(self) -> bool:
    """Whether it knows which text of a pair each token is from."""
    return self.backbone.traits.types > 1

  @nn.compact
  def __call__(self, inputs_BT: jax.Array, positions_BT: jax.Array,
               segments_BT: jax.Array, *, types_BT: jax.Array | None = None,
               train: bool = False) -> jax.Array:
    """Reads each row.

    Args:
      inputs_BT: Token ids.
      positions_BT: Their positions, from 0.
      segments_BT: 1 for real tokens, 0 for padding.
      types_BT: Which text of a pair each token is from, for backbones that tell
        types apart.
      train: Whether dropout is on; it then draws from the 'dropout' rng.

    Returns:
      Float32 `logits_BC`; those of a row without real tokens are finite.
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


def check(pooling: str, dropout: float) -> None:
  """Refuses a pooling that there is not, or a rate that cannot be."""
  if pooling not in POOLING:
    raise errors.InputError(
        f'head.pooling is {pooling!r}; choose from {sorted(POOLING)}.')
  if not 0 <= dropout < 1:
    raise errors.InputError(
        f'head.dropout should be in [0, 1); got {dropout}.')


POOLING = {
    'mean': readout.mean, 'max': readout.largest, 'last': readout.last}
