"""A backbone with a head that scores where an answer begins and ends."""
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
class SpanConfig:
  """Two outputs for each token: whether an answer begins and ends with it.

  The outputs at the first column are those of no answer.

  Attributes:
    null: Where the outputs of no answer are from: the 'first' token of the row,
      [CLS] in BERT, through the same weights as all others; or the 'mean' of
      all tokens, through weights of their own.
    causal: Whether a decoder's tokens see only earlier tokens, as in
      pretraining; if False, it reads in both directions, like an encoder.
    dropout: Dropout rate on the hidden states.
    init_std: Standard deviation of the head's initial kernels.

  References:
    Devlin et al., BERT, arXiv:1810.04805, sections 4.2 and 4.3.
  """
  null: Literal['first', 'mean'] = 'first'
  causal: bool = False
  dropout: ranges.Rate = 0.1
  init_std: ranges.NonNegative = 0.02

  def __post_init__(self):
    if self.null not in ('first', 'mean'):
      raise errors.InputError(
          f"head.null should be 'first' or 'mean'; got {self.null!r}.")
    if self.causal and self.null == 'first':
      raise errors.InputError(
          'Under a causal mask the first token sees no other, so it cannot say '
          'whether there is an answer: set task.head.null=mean, or '
          'task.head.causal=false.')

  def build(self, backbone: Any, head: str = 'answers',
            attend: Callable[..., jax.Array] = attend_lib.best) -> 'Span':
    """Returns the module.

    Args:
      backbone: The config of any trained model, with its vocabulary size.
      head: The name of the head in the parameters.
      attend: Replaces the arithmetic of attention.
    """
    return Span(self, backbone, head, attend)


class Span(nn.Module):
  """Maps token ids to two logits per token.

  Parameters: the backbone's, with the same names, but without an untied output
  layer; and the head's, `answers/kernel` [D, 2] and `answers/bias`, with
  `answers_null` of the same shapes if `null` is 'mean'.
  """
  config: SpanConfig
  backbone: Any
  head: str = 'answers'
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
      Float32 `logits_BTC`, C = 2: of the first and of the last token of an
      answer. Column 0 has those of no answer.
    """
    config = self.config
    shapes.bind(inputs_BT=inputs_BT, positions_BT=positions_BT,
                segments_BT=segments_BT, types_BT=types_BT)
    body = self.backbone.build(attend=self.attend)
    nn.share_scope(self, body)  # `layer_0/...`, not `backbone/layer_0/...`.
    x_BTD = readout.states(
        body, inputs_BT, positions_BT, segments_BT, types_BT=types_BT,
        causal=config.causal, train=train)
    x_BTD = layers.Dropout(
        config.dropout, deterministic=not train, name='span_dropout')(x_BTD)
    policy = layers.Policy(self.backbone.dtype, config.init_std)
    logits_BTC = layers.Head(2, policy, use_bias=True, name=self.head)(x_BTD)
    if config.null == 'first':
      return logits_BTC
    null_BC = layers.Head(2, policy, use_bias=True, name=f'{self.head}_null')(
        readout.mean(x_BTD, segments_BT > 0))
    return logits_BTC.at[:, 0].set(null_BC)
