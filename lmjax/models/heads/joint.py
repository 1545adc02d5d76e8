"""A backbone with two heads: one for each text, and one for each of its words.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax

from lmjax.core import shapes
from lmjax.models.heads import pooled
from lmjax.nn import attend as attend_lib
from lmjax.nn import crf
from lmjax.nn import layers
from lmjax.nn import readout


class Scores(NamedTuple):
  """The scores of both heads.

  Attributes:
    classes_BC: Logits of the classes of each text, float32.
    tags: The scores of the tags of each token, as the config of the head on
      tokens returns them.
  """
  classes_BC: jax.Array
  tags: Any


class Joint(nn.Module):
  """Maps token ids to scores of classes of the text and tags of its tokens.

  Both heads read the hidden states of one pass. Parameters: the backbone's,
  with the same names, but without an untied output layer; and those of the
  heads, such as `utterance_classes/kernel` and `utterance_tags/kernel`.

  Attributes:
    tagger: The config of the head on tokens, of `heads.token` or `heads.chain`;
      the head on texts has its dropout and its initial deviation.
    pooling: How a text becomes a vector, as in `pooled.PooledConfig`.
    backbone: The config of the backbone, with its vocabulary size.
    classes: Number of classes of a text.
    outputs: Number of tags of a token.
    head: The beginning of the names of both heads in the parameters.
    attend: Replaces the arithmetic of attention.
    allowed: Which tags may follow each other; None allows everything.

  References:
    Chen et al., BERT for Joint Intent Classification and Slot Filling,
    arXiv:1902.10909, section 3.2.
  """
  tagger: Any
  pooling: str
  backbone: Any
  classes: int
  outputs: int
  head: str = 'utterance'
  attend: Callable[..., jax.Array] = attend_lib.best
  allowed: crf.Allowed | None = None

  @nn.compact
  def __call__(self, inputs_BT: jax.Array, positions_BT: jax.Array,
               segments_BT: jax.Array, *, train: bool = False) -> Scores:
    """Reads each row; see `token.Token`."""
    tagger = self.tagger
    shapes.bind(inputs_BT=inputs_BT, positions_BT=positions_BT,
                segments_BT=segments_BT)
    body = self.backbone.build(attend=self.attend)
    nn.share_scope(self, body)  # `layer_0/...`, not `backbone/layer_0/...`.
    x_BTD = readout.states(body, inputs_BT, positions_BT, segments_BT,
                           causal=tagger.causal, train=train)
    policy = layers.Policy(self.backbone.dtype, tagger.init_std)
    x_BD = layers.Dropout(
        tagger.dropout, deterministic=not train, name='pooled_dropout')(
            pooled.POOLING[self.pooling](x_BTD, segments_BT > 0))
    classes_BC = layers.Head(
        self.classes, policy, use_bias=True, name=f'{self.head}_classes')(x_BD)
    return Scores(classes_BC, tagger.scores(
        x_BTD, self.outputs, f'{self.head}_tags', self.allowed, policy,
        train=train))
