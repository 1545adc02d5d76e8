"""A backbone with a head on the hidden state of each token."""
from collections.abc import Callable
import dataclasses
from typing import Any

import flax.linen as nn
import jax

from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.nn import attend as attend_lib
from lmjax.nn import crf
from lmjax.nn import layers
from lmjax.nn import readout


@dataclasses.dataclass(frozen=True)
@ranges.checked
class TokenConfig:
  """C outputs for each token from its hidden state.

  Attributes:
    causal: Whether a decoder's tokens see only earlier tokens, as in
      pretraining; if False, it reads in both directions, like an encoder.
    dropout: Dropout rate on the hidden states.
    init_std: Standard deviation of the head's initial kernel.

  References:
    Devlin et al., BERT, arXiv:1810.04805, section 5.3 (a linear layer on each
    word's first subword).
  """
  causal: bool = False
  dropout: ranges.Rate = 0.1
  init_std: ranges.NonNegative = 0.02

  def build(self, backbone: Any, outputs: int, head: str = 'tags',
            attend: Callable[..., jax.Array] = attend_lib.best,
            allowed: crf.Allowed | None = None) -> 'Token':
    """Returns the module.

    Args:
      backbone: The config of any trained model, with its vocabulary size.
      outputs: C, the number of outputs per token.
      head: The name of the head in the parameters.
      attend: Replaces the arithmetic of attention.
      allowed: Which outputs may follow each other; each token is on its own
        here.
    """
    return Token(self, backbone, outputs, head, attend, allowed)

  def scores(self, x_BTD: jax.Array, outputs: int, head: str,
             allowed: crf.Allowed | None, policy: layers.Policy, *, train: bool
             ) -> jax.Array:
    """Returns float32 `logits_BTC`; to be called inside a compact module."""
    del allowed
    x_BTD = layers.Dropout(
        self.dropout, deterministic=not train, name='token_dropout')(x_BTD)
    return layers.Head(outputs, policy, use_bias=True, name=head)(x_BTD)


class Token(nn.Module):
  """Maps token ids to scores of C outputs per token.

  Parameters: the backbone's, with the same names, but without an untied output
  layer; and the head's, such as `tags/kernel` [D, C] and `tags/bias`.

  Attributes:
    config: The head; its `scores` maps hidden states to what is returned.
    backbone: The config of the backbone, with its vocabulary size.
    outputs: C, the number of outputs per token.
    head: The name of the head in the parameters.
    attend: Replaces the arithmetic of attention.
    allowed: Which outputs may follow each other; None allows everything.
  """
  config: Any
  backbone: Any
  outputs: int
  head: str = 'tags'
  attend: Callable[..., jax.Array] = attend_lib.best
  allowed: crf.Allowed | None = None

  @nn.compact
  def __call__(self, inputs_BT: jax.Array, positions_BT: jax.Array,
               segments_BT: jax.Array, *, train: bool = False) -> Any:
    """Reads each row.

    Args:
      inputs_BT: Token ids.
      positions_BT: Positions of the tokens, from 0.
      segments_BT: 1 for real tokens, 0 for padding.
      train: Whether dropout is on; it then uses the 'dropout' rng.

    Returns:
      The config's `scores`: for `TokenConfig` float32 `logits_BTC`, which are
      finite for padding too.
    """
    config = self.config
    shapes.bind(inputs_BT=inputs_BT, positions_BT=positions_BT,
                segments_BT=segments_BT)
    body = self.backbone.build(attend=self.attend)
    nn.share_scope(self, body)  # `layer_0/...`, not `backbone/layer_0/...`.
    x_BTD = readout.states(body, inputs_BT, positions_BT, segments_BT,
                           causal=config.causal, train=train)
    policy = layers.Policy(self.backbone.dtype, config.init_std)
    return config.scores(x_BTD, self.outputs, self.head, self.allowed, policy,
                         train=train)
