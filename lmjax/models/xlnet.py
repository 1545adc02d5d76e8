"""XLNet: two-stream attention that predicts tokens in any order."""
from collections.abc import Callable
import dataclasses
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import placement
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.models import model
from lmjax.models import vocabulary
from lmjax.nn import attend as attend_lib
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import rotary


@dataclasses.dataclass(frozen=True)
@ranges.checked
class XLNetConfig(vocabulary.Sized):
  """A two-stream Transformer with relative positions.

  Each row is read separately: Transformer-XL's recurrence over the segments of
  a long text, which XLNet also has, is not implemented.

  Attributes:
    vocab_size: Vocabulary size V; None means the tokenizer's.
    context: The longest sequence, in tokens.
    width: Size D of the residual stream.
    num_layers: Number of blocks.
    num_heads: Number of heads N, which divides the width.
    hidden: Width of the MLPs' hidden layer.
    activation: Activation of the MLPs.
    dropout: Dropout rate on embeddings, attention weights and both branches.
    types: Whether attention distinguishes tokens of the same type (`types_BT`)
      from tokens of another type, as XLNet does for pairs of texts.
    epsilon: Epsilon of the norms.
    init_std: Standard deviation of initial weights.
    dtype: Dtype of activations and matrix products.

  References:
    Yang et al., XLNet, arXiv:1906.08237; Dai et al., Transformer-XL,
    arXiv:1901.02860, section 3.3 (relative positions).
  """
  vocab_size: ranges.Count | None = None
  context: ranges.Count = 256
  width: ranges.Count = 128
  num_layers: ranges.Count = 4
  num_heads: ranges.Count = 4
  hidden: ranges.Count = 512
  activation: Literal[
      'gelu', 'gelu_tanh', 'relu', 'silu', 'squared_relu'] = 'gelu'
  dropout: ranges.Rate = 0.0
  types: bool = False
  epsilon: ranges.Positive = 1e-12
  init_std: ranges.NonNegative = 0.02
  dtype: Literal['float32', 'bfloat16', 'float16'] = 'float32'

  def __post_init__(self):
    if self.width % (2 * self.num_heads):
      raise errors.InputError(
          f'model.width = {self.width} should be even and divide into '
          f'model.num_heads = {self.num_heads} heads of even size; change one.')

  @property
  def traits(self) -> model.Traits:
    return model.Traits(
        attends=True, encodes=True, two_stream=True,
        types=2 if self.types else 0)

  @property
  def policy(self) -> layers.Policy:
    return layers.Policy(self.dtype, self.init_std, self.init_std)

  def build(self, attend: Callable[..., jax.Array] = attend_lib.best
            ) -> 'XLNet':
    """Returns the module; `attend` replaces the arithmetic of attention."""
    vocabulary.check(self.vocab_size)
    return XLNet(self, attend)


class XLNet(nn.Module):
  """Maps token ids and an order to logits for each token at its own place.

  The content stream sees the token at each place, the query stream only the
  place. Both streams see the content of tokens that come earlier in the order;
  the content stream also sees tokens of equal order, including itself. For any
  order, the query stream thus predicts each token from those before it in the
  order.

  Parameters: `embed`, `mask` (the initial query of every place), `layer_0` ...,
  and `head_bias`; the head is the transposed embedding.
  """
  config: XLNetConfig
  attend: Callable[..., jax.Array] = attend_lib.best

  def setup(self):
    config = self.config
    self.embed = layers.Embedding(
        config.vocab_size, config.width, config.policy)
    self.mask = self.param(
        'mask', nn.initializers.normal(config.init_std), (config.width,))
    self.head_bias = self.param(
        'head_bias', nn.initializers.zeros, (config.vocab_size,))
    self.layer = [XLNetBlock(config, self.attend, name=f'layer_{i}')
                  for i in range(config.num_layers)]
    self.drop = layers.Dropout(config.dropout)

  def __call__(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
               order_BT: jax.Array | None = None,
               types_BT: jax.Array | None = None, train: bool = False
               ) -> tuple[jax.Array, None]:
    """Predicts each token from those before it in the order.

    Args:
      inputs_BT: Token ids.
      mask: Positions and documents of the tokens; by default each row is one
        document. Whether it is causal makes no difference.
      order_BT: The rank of each token in the order; any numbers. Tokens of
        equal order see each other's content. The default is left to right.
      types_BT: Which text of a pair each token is from, if `config.types`.
      train: Whether dropout is on; it then uses the 'dropout' rng.

    Returns:
      Float32 `logits_BTV` for the tokens at their own places, not the next
      tokens; and None.
    """
    x_BTD, _ = self.hidden(
        inputs_BT, mask, order_BT=order_BT, types_BT=types_BT, train=train)
    return self.logits(x_BTD), None

  def hidden(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             order_BT: jax.Array | None = None,
             types_BT: jax.Array | None = None, train: bool = False
             ) -> tuple[jax.Array, None]:
    """Returns the query stream, `x_BTD`, which does not see the token itself.
    """
    d = shapes.bind(inputs_BT=inputs_BT)
    x_BTD = self._streams(inputs_BT, mask, order_BT, types_BT, train, True)
    return x_BTD[:, d.T:], None

  def encode(self, inputs_BT: jax.Array, mask: masks.Mask | None = None, *,
             types_BT: jax.Array | None = None, train: bool = False
             ) -> jax.Array:
    """Returns the content stream, `x_BTD`, in which all tokens see all tokens.
    """
    return self._streams(
        inputs_BT, mask, jnp.zeros_like(inputs_BT), types_BT, train, False)

  def logits(self, x_BTD: jax.Array) -> jax.Array:
    """Returns float32 `logits_BTV` for hidden states."""
    return self.embed.logits(x_BTD) + self.head_bias[None, None]

  def _streams(self, inputs_BT, mask, order_BT, types_BT, train, queries):
    """Returns the content stream and, after it along T, the query stream."""
    config = self.config
    d = shapes.bind(inputs_BT=inputs_BT, order_BT=order_BT, types_BT=types_BT)
    if mask is None:
      mask = masks.of_length(d.T)
    masks.check(mask, d.T)
    # `scores` of the objective doubles the length of a window.
    if d.T > 2 * config.context:
      raise errors.InputError(
          f'Got {d.T} tokens, but model.context is {config.context}.')
    positions_BT = jnp.broadcast_to(mask.query_positions_BT, (d.B, d.T))
    segments_BT = mask.query_segments_BT
    if segments_BT is None:
      segments_BT = jnp.ones((d.B, d.T), jnp.int32)
    if order_BT is None:
      order_BT = positions_BT

    x_BTD = self.embed(inputs_BT)
    seen_BTS = order_BT[:, :, None] >= order_BT[:, None]
    twice = lambda x: x
    if queries:
      query_BTD = jnp.broadcast_to(self.mask[None, None], x_BTD.shape)
      x_BTD = jnp.concatenate([x_BTD, query_BTD.astype(x_BTD.dtype)], axis=1)
      seen_BTS = jnp.concatenate(
          [seen_BTS, order_BT[:, :, None] > order_BT[:, None]], axis=1)
      twice = lambda x: jnp.concatenate([x, x], axis=1)
    x_BTD = self.drop(x_BTD, deterministic=not train)
    mask = masks.Mask(
        twice(positions_BT), positions_BT, twice(segments_BT), segments_BT,
        extra_BTS=seen_BTS, causal=False)
    same_BTS = None
    if types_BT is not None and config.types:
      same_BTS = twice(types_BT)[:, :, None] == types_BT[:, None]
    for block in self.layer:
      x_BTD = block(x_BTD, mask, same_BTS, train)
    return self.drop(x_BTD, deterministic=not train)


class XLNetBlock(nn.Module):
  """Post-norm block; the first S of its T tokens, the content, are keys."""
  config: XLNetConfig
  attend: Callable[..., jax.Array]

  @nn.compact
  def __call__(self, x_BTD, mask, same_BTS, train):
    config, policy = self.config, self.config.policy
    drop = layers.Dropout(config.dropout, deterministic=not train)
    norm = layers.LayerNorm(config.epsilon)
    x_BTD = placement.tokens(x_BTD)
    h_BTD = RelativeAttention(config, self.attend, name='mixer')(
        x_BTD, mask, same_BTS, train)
    x_BTD = norm.build('mixer_norm')(x_BTD + drop(h_BTD))
    h_BTD = layers.MLPConfig(config.hidden, config.activation).build(
        policy, 'mlp')(x_BTD)
    return norm.build('mlp_norm')(x_BTD + drop(h_BTD))


class RelativeAttention(nn.Module):
  """Attention by content and by distance.

  The logit of query i and key j is H ** -0.5 times

    (q_i + u)^T k_j + (q_i + v)^T W r_{i-j} + (q_i + s)^T t_{ij},

  where r are sinusoids; u, v and s are learned; and t is one of two learned
  vectors, depending on whether both tokens have the same type.

  References:
    Dai et al., Transformer-XL, arXiv:1901.02860, section 3.3; Yang et al.,
    XLNet, arXiv:1906.08237, section 2.5 (types).
  """
  config: XLNetConfig
  attend: Callable[..., jax.Array]

  @nn.compact
  def __call__(self, x_BTD, mask, same_BTS, train):
    config, policy = self.config, self.config.policy
    heads, size = config.num_heads, config.width // config.num_heads
    content_BSD = x_BTD[:, :mask.key_positions_BS.shape[1]]

    def project(x, name):
      y = layers.Dense(config.width, policy, False, name=name)(x)
      return y.reshape(*x.shape[:-1], heads, size)

    def bias(name):
      vector_NH = self.param(
          name, nn.initializers.normal(config.init_std), (heads, size))
      return vector_NH.astype(policy.dtype)[None, None]

    q_BTNH = project(x_BTD, 'query')
    k_BSNH, v_BSNH = (project(content_BSD, name) for name in ('key', 'value'))
    reach = content_BSD.shape[1]
    r_LNH = project(
        sinusoids(reach, config.width).astype(policy.dtype), 'position')
    by_distance_BNTL = jnp.einsum(
        'BTNH,LNH->BNTL', q_BTNH + bias('position_bias'), r_LNH,
        preferred_element_type=jnp.float32)
    index_BTS = jnp.clip(mask.distances() + reach, 0, 2 * reach)
    logits_BNTS = jnp.take_along_axis(
        by_distance_BNTL, index_BTS[:, None], axis=-1)
    if config.types:
      types_2NH = self.param(
          'types', nn.initializers.normal(config.init_std), (2, heads, size))
      by_type_BNT2 = jnp.einsum(
          'BTNH,ZNH->BNTZ', q_BTNH + bias('type_bias'),
          types_2NH.astype(policy.dtype), preferred_element_type=jnp.float32)
      if same_BTS is not None:
        logits_BNTS += jnp.where(
            same_BTS[:, None], by_type_BNT2[..., :1], by_type_BNT2[..., 1:])
    rng = self.make_rng('dropout') if train and config.dropout else None
    out_BTNH = self.attend(
        q_BTNH + bias('content_bias'), k_BSNH, v_BSNH, mask,
        bias_BNTS=logits_BNTS * size**-0.5, dropout=config.dropout,
        dropout_rng=rng)
    # The first query of an order sees no key; without this, its output would be
    # an average of masked values.
    sees_BT = jnp.any(mask.dense(), axis=-1)
    out_BTNH = jnp.where(sees_BT[..., None, None], out_BTNH, 0)
    return layers.Dense(config.width, policy, False, name='out')(
        out_BTNH.reshape(*x_BTD.shape))


def sinusoids(reach: int, width: int) -> jax.Array:
  """Returns `r_LD` for the distances -reach to reach, query minus key."""
  distance_L = jnp.arange(-reach, reach + 1, dtype=jnp.float32)
  angle_LD = distance_L[:, None] * jnp.asarray(
      rotary.frequencies(10_000.0, width), jnp.float32)[None]
  return jnp.concatenate([jnp.sin(angle_LD), jnp.cos(angle_LD)], axis=-1)
