"""A backbone with its own output layer as its head, which writes text."""
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax

from lmjax.nn import attend as attend_lib
from lmjax.nn import masks


class NextToken(nn.Module):
  """Maps token ids to the logits of the next token.

  Parameters: all of the backbone's, with the same names, and no others. A run
  that was pretrained gives its output layer too.
  """
  backbone: Any
  head: str = 'next_token'  # It has no parameters of its own.
  attend: Callable[..., jax.Array] = attend_lib.best
  tells_apart = True  # A source and a target have places of their own.

  @nn.compact
  def __call__(self, inputs_BT: jax.Array, positions_BT: jax.Array,
               segments_BT: jax.Array, *, train: bool = False) -> jax.Array:
    """Returns float32 `logits_BTV`.

    An encoder-decoder reads the same tokens on both sides.

    Args:
      inputs_BT: Token ids.
      positions_BT: Positions of the tokens, from 0.
      segments_BT: 1 for real tokens, 0 for padding.
      train: Whether dropout is on; it then uses the 'dropout' rng.
    """
    body = self.backbone.build(attend=self.attend)
    nn.share_scope(self, body)  # `layer_0/...`, not `backbone/layer_0/...`.
    given = {}
    if self.backbone.traits.reads_source:
      given['encoder_mask'] = masks.make(
          positions_BT, segments_BT, causal=False)
    return body(
        inputs_BT, masks.make(positions_BT, segments_BT), train=train,
        **given)[0]


def body(model: NextToken) -> nn.Module:
  """Returns the backbone's module, which takes the same parameters."""
  return model.backbone.build(attend=model.attend)
