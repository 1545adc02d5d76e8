"""Embeddings and output heads, which all Transformer families share.

`Embed` configures how token ids become the input of the first block, and `Head`
how hidden states become logits. A model's config holds one of each, and its
module builds `Embeddings` and `Logits` from them.
"""
import dataclasses
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import ranges
from lmjax.nn import layers
from lmjax.nn import positions as positions_lib


NORM = layers.LayerNorm(epsilon=1e-12)  # BERT's.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Embed:
  """Token embeddings and the operations on them before the first block.

  A token's embedding is scaled, its position is added, and then norm and
  dropout are applied.

  Attributes:
    size: Size E of the embeddings; None means the model's width D. If E is not
      D, a dense layer `widen` maps from E to D.
    widen: Whether the layer `widen` comes 'last', so that positions and norm
      have size E (ALBERT, ELECTRA), or 'first', so that they have size D
      (OPT-350m).
    widen_bias: Whether the layer `widen` has a bias.
    scale: Multiplies the embeddings; 'sqrt_width' is sqrt(D).
    norm: The norm of the sum of embedding and position, or None.
    dropout: Dropout rate on the input of the first block.
    std: Standard deviation of initial embeddings; None means the model's.

  References:
    Lan et al., ALBERT, arXiv:1909.11942, section 3.1 (factorised); Zhang et
    al., OPT, arXiv:2205.01068; Vaswani et al., arXiv:1706.03762, section 3.4
    (scale); Le Scao et al., BLOOM, arXiv:2211.05100, section 3.2 (norm).
  """
  size: ranges.Count | None = None
  widen: Literal['first', 'last'] = 'last'
  widen_bias: bool = True
  scale: ranges.Positive | Literal['sqrt_width'] = 1.0
  norm: layers.Norm | None = None
  dropout: ranges.Rate = 0.0
  std: ranges.NonNegative | None = None

  types = 0  # There are no embeddings of token types.

  def table_size(self, width: int) -> int:
    """Returns E in a model of this width."""
    return self.size or width

  def multiplier(self, width: int) -> float:
    """Returns the multiplier of embeddings in a model of this width."""
    return width ** 0.5 if isinstance(self.scale, str) else self.scale

  def table(self, vocab_size: int, width: int, policy: layers.Policy
            ) -> layers.Embedding:
    """Returns the module of the token embeddings."""
    if self.std is not None:
      policy = dataclasses.replace(policy, init_std=self.std)
    return layers.Embedding(vocab_size, self.table_size(width), policy)

  def widened(self, x_BTE: jax.Array, width: int, policy: layers.Policy
              ) -> jax.Array:
    """Returns `x_BTD` from the layer `widen`, or the argument if E is D.

    The layer is a submodule of the module whose compact method calls this.
    """
    if x_BTE.shape[-1] == width:
      return x_BTE
    return layers.Dense(width, policy, self.widen_bias, name='widen')(x_BTE)


@dataclasses.dataclass(frozen=True)
class TypedEmbed(Embed):
  """Token embeddings with an additional embedding of the token's type.

  Attributes:
    norm: The norm of the sum of embedding, type and position, or None.
    types: Number of token types, such as first and second text; 0 for none.

  References:
    Devlin et al., BERT, arXiv:1810.04805, section 3.
  """
  norm: layers.Norm | None = NORM
  types: ranges.Natural = 2


class Embeddings(nn.Module):
  """Maps token ids to the input of the first block, before a last `widen`.

  Parameters: `embed`, `positions` (if learned), `types`, `embed_norm` and
  `widen` (if it comes first).

  Attributes:
    config: The config of the embeddings.
    vocab_size: V.
    width: D.
    context: Number of positions.
    positions: How positions enter.
    policy: Compute dtype and initialisation.
    table: The embeddings of another module, used instead of `embed`.
  """
  config: Embed
  vocab_size: int
  width: int
  context: int
  positions: positions_lib.Positions
  policy: layers.Policy
  table: layers.Embedding | None = None

  def setup(self):
    config = self.config
    if self.table is None:
      self.embed = config.table(self.vocab_size, self.width, self.policy)
    if config.types:
      self.types = layers.Embedding(
          config.types, config.table_size(self.width), self.policy)
    # The name determines the dropout key, so it must not change.
    self.drop = layers.Dropout(config.dropout, name='Dropout_0')

  @property
  def tokens(self) -> layers.Embedding:
    """The token embeddings, which a tied head uses."""
    return self.embed if self.table is None else self.table

  @nn.compact
  def __call__(self, inputs_BT: jax.Array, positions_BT: jax.Array,
               types_BT: jax.Array | None = None, *, train: bool = False
               ) -> jax.Array:
    """Returns the embeddings, `x_BTE`, or `x_BTD` if they are widened first.

    Args:
      inputs_BT: Token ids.
      positions_BT: Positions of the tokens.
      types_BT: The type of each token; all 0 by default.
      train: Whether dropout is on.
    """
    config = self.config
    x_BTE = _times(self.tokens(inputs_BT), config.multiplier(self.width))
    if config.types:
      x_BTE += self.types(
          jnp.zeros_like(inputs_BT) if types_BT is None else types_BT)
    if config.widen == 'first':
      x_BTE = config.widened(x_BTE, self.width, self.policy)
    x_BTE = self.positions.embed(
        x_BTE, positions_BT, self.context, self.policy)
    if config.norm is not None:
      x_BTE = config.norm.build('embed_norm')(x_BTE)
    return self.drop(x_BTE, deterministic=not train)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Head:
  """Logits as products of hidden states with one vector for each token id.

  Attributes:
    tied: Whether the vectors are the token embeddings. If these do not have
      size D, a dense layer `narrow` without a bias first maps to their size.
    bias: Whether logits have a bias.
    scale: Multiplies hidden states before the product; 'rsqrt_width' is
      D ** -0.5.
    softcap: If given, logits become softcap * tanh(logits / softcap).

  References:
    Press and Wolf, arXiv:1608.05859 (tied); Raffel et al., T5,
    arXiv:1910.10683 (its released code scales by D ** -0.5 where tied); Gemma
    Team, Gemma 2, arXiv:2408.00118, section 2 (soft-capping).
  """
  tied: bool = True
  bias: bool = False
  scale: ranges.Positive | Literal['rsqrt_width'] = 1.0
  softcap: ranges.Positive | None = None

  def multiplier(self, width: int) -> float:
    """Returns the multiplier of hidden states of this width."""
    return width ** -0.5 if isinstance(self.scale, str) else self.scale

  def read(self, x_BTD: jax.Array, size: int, policy: layers.Policy
           ) -> jax.Array:
    """Maps hidden states to the size of the vectors; returns `x_BTE`.

    Layers are submodules of the module whose compact method calls this.
    """
    if x_BTD.shape[-1] == size:
      return x_BTD
    return layers.Dense(size, policy, use_bias=False, name='narrow')(x_BTD)


@dataclasses.dataclass(frozen=True)
class TokenHead(Head):
  """A head that first transforms hidden states: dense, activation, norm.

  Attributes:
    bias: Whether logits have a bias.
    activation: The activation after the dense layer.
    norm: The norm after the activation.
    transform_bias: Whether the dense layer has a bias.

  References:
    Devlin et al., BERT, arXiv:1810.04805, section 3.1, task 1; the transform
    is in the released code.
  """
  bias: bool = True
  activation: layers.Activation = 'gelu'
  norm: layers.Norm = NORM
  transform_bias: bool = True

  def read(self, x_BTD, size, policy):
    x_BTE = layers.Dense(
        size, policy, self.transform_bias, name='transform')(x_BTD)
    return self.norm.build('norm')(layers.ACTIVATIONS[self.activation](x_BTE))


Heads = Head | TokenHead


class Logits(nn.Module):
  """Maps hidden states to logits.

  Parameters: `kernel` (if untied), `bias`, and either `narrow` or `transform`
  and `norm`.

  Attributes:
    config: The config of the head.
    vocab_size: V.
    policy: Compute dtype and initialisation.
  """
  config: Heads
  vocab_size: int
  policy: layers.Policy

  def setup(self):
    config = self.config
    if not config.tied:
      self.own = layers.Head(self.vocab_size, self.policy, config.bias)
      nn.share_scope(self, self.own)  # `head/kernel`, not `head/own/kernel`.
    elif config.bias:
      self.bias = self.param(
          'bias', nn.initializers.zeros, (self.vocab_size,))

  @nn.compact
  def __call__(self, x_BTD: jax.Array, table: layers.Embedding) -> jax.Array:
    """Returns float32 `logits_BTV`.

    Args:
      x_BTD: Hidden states.
      table: The token embeddings, which a tied head uses.
    """
    config, width = self.config, x_BTD.shape[-1]
    x_BTD = _times(x_BTD, config.multiplier(width))
    x_BTE = config.read(
        x_BTD, table.features if config.tied else width, self.policy)
    logits_BTV = table.logits(x_BTE) if config.tied else self.own(x_BTE)
    if config.tied and config.bias:
      logits_BTV += self.bias[None, None]
    if config.softcap is not None:
      logits_BTV = config.softcap * jnp.tanh(logits_BTV / config.softcap)
    return logits_BTV


def _times(x: jax.Array, multiplier: float | jax.Array) -> jax.Array:
  if isinstance(multiplier, float) and multiplier == 1.0:
    return x
  return x * jnp.asarray(multiplier, x.dtype)
