"""Bidirectional encoders: BERT, RoBERTa, ALBERT and modern ones."""
from collections.abc import Callable
import dataclasses
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.models import model
from lmjax.models import parts
from lmjax.models import vocabulary
from lmjax.nn import attend as attend_lib
from lmjax.nn import block as block_lib
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import pattern as pattern_lib
from lmjax.nn import positions as positions_lib
from lmjax.nn import stack as stack_lib
from lmjax.nn import taps


@dataclasses.dataclass(frozen=True)
class Pooler:
  """One vector per row: a dense layer and tanh on the first token.

  Attributes:
    pairs: Whether two logits are computed from the vector, for next-sentence or
      sentence-order prediction.

  References:
    Devlin et al., BERT, arXiv:1810.04805, section 3.1, task 2; Lan et al.,
    ALBERT, arXiv:1909.11942, section 3.1.
  """
  pairs: bool = True


@dataclasses.dataclass(frozen=True)
class ReplacedHead:
  """One logit per token, that it was replaced: dense, activation, dense.

  References:
    Clark et al., ELECTRA, arXiv:2003.10555, section 2.
  """
  activation: layers.Activation = 'gelu'


@dataclasses.dataclass(frozen=True)
@ranges.checked
class EncoderConfig(vocabulary.Sized):
  """A configurable encoder.

  Attributes:
    vocab_size: Vocabulary size V; None means the tokenizer's.
    context: The longest sequence, in tokens.
    width: Size D of the residual stream.
    num_layers: Number of blocks.
    block: The block, with its mixer, MLP and norms.
    pattern: How layers differ in their blocks; None means that all are alike.
    positions: How positions enter the model.
    embed: How token ids and types become the input of the first block.
    shared_layers: Whether one layer is applied `num_layers` times.
    final_norm: The norm after the last block; None where blocks end in one.
    tokens: The head of `logits`, or None.
    pooler: The head of `pooled` and `pair_logits`, or None.
    replaced: The head of `replaced_logits`, or None.
    init_std: Standard deviation of all initial kernels and embeddings.
    dtype: Dtype of activations and matrix products. Parameters, statistics of
      norms, softmax and logits are float32.
    scan: Whether blocks are scanned (one compiled block) or looped.
    remat: What the backward pass recomputes: nothing, all of each block
      ('full'), or all but its matrix products ('dots'), which can be kept in
      the host's memory ('offload').

  References:
    Devlin et al., BERT, arXiv:1810.04805; Liu et al., RoBERTa,
    arXiv:1907.11692; Lan et al., ALBERT, arXiv:1909.11942; Warner et al.,
    ModernBERT, arXiv:2412.13663.
  """
  vocab_size: ranges.Count | None = None
  context: ranges.Count = 256
  width: ranges.Count = 128
  num_layers: ranges.Count = 4
  block: block_lib.Config = block_lib.PostNorm(
      mlp=layers.MLPConfig(activation='gelu'), norm=parts.NORM)
  pattern: pattern_lib.Pattern | None = None
  positions: positions_lib.Positions = positions_lib.Learned()
  embed: parts.TypedEmbed = parts.TypedEmbed()
  shared_layers: bool = False
  final_norm: layers.Norm | None = None
  tokens: parts.Heads | None = parts.TokenHead()
  pooler: Pooler | None = None
  replaced: ReplacedHead | None = None
  init_std: ranges.NonNegative = 0.02
  dtype: Literal['float32', 'bfloat16', 'float16'] = 'float32'
  scan: bool = False
  remat: Literal['none', 'full', 'dots', 'offload'] = 'none'

  def __post_init__(self):
    self.arrangement.check_attends('An encoder reads both ways')
    self.arrangement.check_width(self.width)
    if self.pattern is not None and self.shared_layers:
      raise errors.InputError(
          'model.pattern makes layers differ from each other, so they cannot '
          'be shared: set --config.model.pattern.kind=none or '
          '--config.model.shared_layers=False.')

  @property
  def policy(self) -> layers.Policy:
    return layers.Policy(self.dtype, self.init_std, self.init_std)

  @property
  def arrangement(self) -> pattern_lib.Arrangement:
    """The layers in order."""
    return pattern_lib.arrange(
        self.pattern, self.block, self.num_layers, self.positions)

  @property
  def traits(self) -> model.Traits:
    arrangement = self.arrangement
    heads = {'tokens': self.tokens, 'pooler': self.pooler,
             'pairs': self.pooler and self.pooler.pairs,
             'replaced': self.replaced}
    return model.Traits(
        both_ways=True, attends=True, blocks=True, types=self.embed.types,
        stages=arrangement.stages * (self.scan and not self.shared_layers),
        offloads=self.remat == 'offload', mixture=arrangement.mixture,
        heads=frozenset(name for name, head in heads.items() if head))

  def build(self, attend: Callable[..., jax.Array] = attend_lib.best
            ) -> 'Encoder':
    """Returns the module; `attend` replaces the arithmetic of attention."""
    vocabulary.check(self.vocab_size)
    return Encoder(self, attend)


def embeddings(config: EncoderConfig) -> parts.Embeddings:
  """Returns the module of an encoder's embeddings."""
  return parts.Embeddings(
      config.embed, config.vocab_size, config.width, config.context,
      config.positions, config.policy)


class Encoder(nn.Module):
  """Maps token ids to hidden states that depend on all tokens, with heads.

  Parameters: `embed`, `positions` and `types` (if the model has them),
  `embed_norm`, `widen` (if E is not D), `layer_0` ... (only `layer_0` if
  shared; `layers`, stacked, if scanned), `final_norm`, and the heads `tokens`,
  `pooler`, `pairs` and `replaced` (if the config sets them).

  Attributes:
    embeddings: The embeddings of another module, used instead of its own.
  """
  config: EncoderConfig
  attend: Callable[..., jax.Array] = attend_lib.best
  embeddings: parts.Embeddings | None = None

  def setup(self):
    config, policy = self.config, self.config.policy
    self.stack = stack_lib.Stack(
        config.arrangement, policy, self.attend, config.scan, config.remat,
        config.shared_layers)
    nn.share_scope(self, self.stack)  # `layer_0/...`, not `stack/layer_0/...`.
    self.table = self.embeddings
    if self.embeddings is None:
      self.table = embeddings(config)
      nn.share_scope(self, self.table)
    if config.tokens is not None:
      self.tokens = parts.Logits(config.tokens, config.vocab_size, policy)
    if config.pooler is not None:
      self.pooler = layers.Dense(config.width, policy)
      if config.pooler.pairs:
        self.pairs = layers.Head(2, policy, use_bias=True)
    if config.replaced is not None:
      self.replaced = _ReplacedLogits(config.replaced, policy)

  def __call__(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
               types_BT: jax.Array | None = None, train: bool = False
               ) -> tuple[jax.Array, None]:
    """Returns `logits_BTV`, or hidden states if there is no token head; None.

    Args:
      inputs_BT: Token ids.
      mask: Positions and documents of the tokens; by default each row is one
        document from position 0 on, whose tokens all see each other.
      types_BT: The type of each token; all 0 by default.
      train: Whether dropout is on; it then uses the 'dropout' rng.
    """
    x_BTD, _ = self.hidden(inputs_BT, mask, types_BT=types_BT, train=train)
    if self.is_initializing():  # Initialises the parameters of every head.
      self._heads(x_BTD)
    if self.config.tokens is None:
      return x_BTD, None
    return self.logits(x_BTD), None

  @nn.compact
  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             types_BT: jax.Array | None = None, train: bool = False
             ) -> tuple[jax.Array, None]:
    """Returns the hidden states, `x_BTD`, and None, as there is no cache."""
    config = self.config
    d = shapes.bind(inputs_BT=inputs_BT, types_BT=types_BT)
    if mask is None:
      mask = masks.of_length(d.T, causal=False)
    masks.check(mask, d.T)
    if d.T > config.context:
      raise errors.InputError(
          f'Got {d.T} tokens, but model.context is {config.context}.')
    x_BTD = config.embed.widened(
        self.table(inputs_BT, mask.query_positions_BT, types_BT, train=train),
        config.width, config.policy)
    x_BTD = taps.tap(self, 'embedding', x_BTD)
    bias_BNTS = config.positions.bias(mask, config.block.mixer.num_heads)
    x_BTD, _ = self.stack(x_BTD, None, mask, bias_BNTS, None, train)
    if config.final_norm is not None:
      x_BTD = config.final_norm.build('final_norm')(x_BTD)
    return taps.tap(self, 'final', x_BTD), None

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BTV` for the id at each token's own place."""
    self._require('tokens')
    return taps.tap(
        self, 'logits', self.tokens(x_BTD, self.table.tokens))

  def pooled(self, x_BTD: jax.Array) -> jax.Array:
    """Returns the vector of each row, `x_BD`, from its first token."""
    self._require('pooler')
    return jnp.tanh(self.pooler(x_BTD[:, 0]))

  def pair_logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_B2`: whether a pair is genuine or made up."""
    self._require('pooler')
    if not self.config.pooler.pairs:
      raise errors.InputError(
          'The model has no logits for pairs; set '
          '--config.model.pooler.pairs=True.')
    return self.pairs(self.pooled(x_BTD))

  def replaced_logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BT`, that each token was replaced."""
    self._require('replaced')
    return self.replaced(x_BTD)

  def _heads(self, x_BTD):
    config = self.config
    if config.pooler is not None:
      (self.pair_logits if config.pooler.pairs else self.pooled)(x_BTD)
    if config.replaced is not None:
      self.replaced_logits(x_BTD)

  def _require(self, part):
    if getattr(self.config, part) is None:
      kind = {'tokens': 'TokenHead', 'pooler': 'Pooler',
              'replaced': 'ReplacedHead'}[part]
      raise errors.InputError(
          f'model.{part} is off; set --config.model.{part}.kind={kind}.')


class _ReplacedLogits(nn.Module):
  """Dense layer, activation, and one logit per token."""
  config: ReplacedHead
  policy: layers.Policy

  @nn.compact
  def __call__(self, x_BTD):
    x_BTD = layers.Dense(
        x_BTD.shape[-1], self.policy, name='transform')(x_BTD)
    x_BTD = layers.ACTIVATIONS[self.config.activation](x_BTD)
    return layers.Head(
        1, self.policy, use_bias=True, name='output')(x_BTD)[..., 0]
