"""A backbone that reads the texts of a pair separately, and a head on both."""
from collections.abc import Callable
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.models.heads import pooled
from lmjax.nn import attend as attend_lib
from lmjax.nn import layers
from lmjax.nn import readout


@dataclasses.dataclass(frozen=True)
@ranges.checked
class PairedConfig:
  """One vector for each text of a pair, and C outputs from both vectors.

  No token of one text sees the other text. With u and v the vectors of the two
  texts, the head is linear in

    u, v, |u - v| and u * v.

  A model that reads both texts as one row must learn from examples which words
  they share. Here equal texts have equal vectors from the start.

  Attributes:
    pooling: How a text becomes a vector, as in `pooled.PooledConfig`.
    causal: Whether a decoder's tokens see only earlier tokens, as in
      `pooled.PooledConfig`.
    dropout: Dropout rate on the input of the head.
    init_std: Standard deviation of the head's initial kernel.

  References:
    Conneau et al., Supervised Learning of Universal Sentence Representations,
    arXiv:1705.02364, section 3.1. Reimers and Gurevych, Sentence-BERT,
    arXiv:1908.10084, section 3.
  """
  pooling: Literal['mean', 'max', 'last'] = 'mean'
  causal: bool = True
  dropout: ranges.Rate = 0.1
  init_std: ranges.NonNegative = 0.02

  def __post_init__(self):
    pooled.check(self.pooling)

  def build(self, backbone: Any, outputs: int, head: str = 'classes',
            texts: int = 2, attend: Callable[..., jax.Array] = attend_lib.best
            ) -> 'Paired':
    """Returns the module; see `pooled.PooledConfig.build`.

    Raises:
      InputError: If examples are not pairs.
    """
    if texts != 2:
      raise errors.InputError(
          f'PairedConfig compares the texts of a pair, and examples have '
          f'{texts}; choose --config.task.head.kind=PooledConfig, or give the '
          'source a second column.')
    return Paired(self, backbone, outputs, head, attend)


Config = pooled.PooledConfig | PairedConfig


class Paired(nn.Module):
  """Maps the token ids of a pair to C outputs.

  Parameters: as in `pooled.Pooled`, but the head's kernel is [4 D, C].
  """
  config: PairedConfig
  backbone: Any
  outputs: int
  head: str = 'classes'
  attend: Callable[..., jax.Array] = attend_lib.best
  tells_apart = True  # It uses which text of a pair each token is from.

  @nn.compact
  def __call__(self, inputs_BT: jax.Array, positions_BT: jax.Array,
               segments_BT: jax.Array, *, types_BT: jax.Array | None = None,
               train: bool = False) -> jax.Array:
    """Reads each row; see `pooled.Pooled`.

    Args:
      inputs_BT: Token ids.
      positions_BT: Positions of the tokens, from 0.
      segments_BT: 1 for real tokens, 0 for padding.
      types_BT: 0 for tokens of the first text, 1 for tokens of the second text,
        which follow them; None if there is no second text.
      train: Whether dropout is on.

    Returns:
      Float32 `logits_BC`.
    """
    config = self.config
    shapes.bind(inputs_BT=inputs_BT, positions_BT=positions_BT,
                segments_BT=segments_BT, types_BT=types_BT)
    if types_BT is None:
      types_BT = jnp.zeros_like(segments_BT)
    real_BT = segments_BT > 0
    first_BT, second_BT = real_BT & (types_BT == 0), real_BT & (types_BT == 1)
    sizes_B1 = jnp.sum(first_BT, axis=1, keepdims=True)
    body = self.backbone.build(attend=self.attend)
    nn.share_scope(self, body)  # `layer_0/...`, not `backbone/layer_0/...`.
    x_BTD = readout.states(
        body, inputs_BT, positions_BT - sizes_B1 * second_BT,
        first_BT + 2 * second_BT, causal=config.causal, train=train)
    u_BD, v_BD = (pooled.POOLING[config.pooling](x_BTD, of_BT)
                  for of_BT in (first_BT, second_BT))
    x_BF = jnp.concatenate(
        [u_BD, v_BD, jnp.abs(u_BD - v_BD), u_BD * v_BD], axis=1)
    x_BF = layers.Dropout(
        config.dropout, deterministic=not train, name='paired_dropout')(x_BF)
    policy = layers.Policy(self.backbone.dtype, config.init_std)
    return layers.Head(
        self.outputs, policy, use_bias=True, name=self.head)(x_BF)
