"""Multi-head self-attention with grouped keys, and its cache for decoding."""
from collections.abc import Callable
import dataclasses

import flax.linen as nn
import jax

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.nn import attend as attend_lib
from lmjax.nn import caches
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions as positions_lib
from lmjax.nn import taps


@dataclasses.dataclass(frozen=True)
@ranges.checked
class AttentionConfig:
  """Self-attention: multi-head, grouped or multi-query, by `num_kv_heads`.

  Attributes:
    num_heads: Query heads N.
    num_kv_heads: Key and value heads K, dividing N; None means N.
    head_size: Dimensions H of a head; None means width / N.
    bias: Whether the query, key and value projections have biases.
    out_bias: Whether the output projection has a bias.
    qk_norm: Norm over each head's queries and keys before the product.
    window: If given, a token sees only tokens closer than this many positions.
    softcap: If given, logits become softcap * tanh(logits / softcap).
    scale: Multiplier on the logits; None means H ** -0.5.
    dropout: Rate at which attention weights are dropped in training.

  References:
    Vaswani et al., arXiv:1706.03762; Ainslie et al., GQA, arXiv:2305.13245;
    Henry et al., Query-Key Normalization, arXiv:2010.04245; Gemma Team,
    Gemma 2, arXiv:2408.00118 (soft-capping).
  """
  num_heads: ranges.Count = 4
  num_kv_heads: ranges.Count | None = None
  head_size: ranges.Count | None = None
  bias: bool = True
  out_bias: bool = True
  qk_norm: layers.Norm | None = None
  window: ranges.Count | None = None
  softcap: ranges.Positive | None = None
  scale: ranges.Positive | None = None
  dropout: ranges.Rate = 0.0

  attends = True  # The mask decides which tokens a token sees.

  def __post_init__(self):
    if self.num_heads % self.kv_heads:
      raise errors.InputError(
          f'mixer.num_kv_heads should divide num_heads; got '
          f'{self.num_kv_heads} and {self.num_heads}.')

  @property
  def kv_heads(self) -> int:
    """The number of key and value heads, K."""
    return self.num_heads if self.num_kv_heads is None else self.num_kv_heads

  def size(self, width: int) -> int:
    """The size H of a head in a model of this width."""
    if self.head_size is None and width % self.num_heads:
      raise errors.InputError(
          f'model.width = {width} does not divide into mixer.num_heads = '
          f'{self.num_heads} heads; change one, or set mixer.head_size.')
    return self.head_size or width // self.num_heads

  def empty_cache(self, batch: int, length: int, width: int, dtype
                  ) -> caches.Contiguous:
    """Returns a cache with room for `length` tokens in each of `batch` rows."""
    kind = caches.Contiguous
    if self.window is not None and self.window < length:
      kind, length = caches.Ring, self.window
    return kind.empty((batch, self.kv_heads, length, self.size(width)), dtype)

  def build(self, policy: layers.Policy, positions: positions_lib.Positions,
            attend: Callable[..., jax.Array] = attend_lib.best,
            name: str | None = None) -> nn.Module:
    return Attention(self, policy, positions, attend, name=name)


class Attention(nn.Module):
  """A mixer: each token attends to the tokens that it may see.

  A block can use any module with this call signature in its place.
  """
  config: AttentionConfig
  policy: layers.Policy
  positions: positions_lib.Positions = positions_lib.NoPositions()
  attend: Callable[..., jax.Array] = attend_lib.best

  @nn.compact
  def __call__(self, x_BTD: jax.Array, mask: masks.Mask,
               bias_BNTS: jax.Array | None = None,
               cache: caches.Contiguous | None = None,
               slots_B: jax.Array | None = None, train: bool = False
               ) -> tuple[jax.Array, caches.Contiguous | None]:
    """Attends within `x_BTD`, or from `x_BTD` to a cache.

    Args:
      x_BTD: The hidden states of the tokens.
      mask: Which of the S keys each token may see. The keys are the T tokens,
        or all slots of the cache.
      bias_BNTS: Added to the attention logits.
      cache: Keys and values of earlier tokens; see `caches`.
      slots_B: The slot of each row's first new token.
      train: Whether dropout is on.

    Returns:
      The output of the branch, `out_BTD`, and the cache with T more tokens.
    """
    config, policy = self.config, self.policy
    d = shapes.bind(x_BTD=x_BTD)
    size = config.size(d.D)

    def heads(name, count):
      projected = layers.Dense(
          count * size, policy, config.bias, name=name)(x_BTD)
      return projected.reshape(d.B, d.T, count, size)

    q_BTNH = heads('query', config.num_heads)
    k_BTKH = heads('key', config.kv_heads)
    v_BTKH = heads('value', config.kv_heads)
    if config.qk_norm is not None:
      q_BTNH = config.qk_norm.build('query_norm')(q_BTNH)
      k_BTKH = config.qk_norm.build('key_norm')(k_BTKH)
    q_BTNH = self.positions.rotate(q_BTNH, mask.query_positions_BT)
    k_BTKH = self.positions.rotate(k_BTKH, mask.query_positions_BT)
    q_BTNH, k_BTKH, v_BTKH = (taps.tap(self, name, x) for name, x in (
        ('queries', q_BTNH), ('keys', k_BTKH), ('values', v_BTKH)))

    if cache is not None:
      cache, keys = cache.extend(k_BTKH, v_BTKH, slots_B)
      k_BTKH, v_BTKH = (
          x.astype(policy.dtype) for x in (keys.k_BSKH, keys.v_BSKH))
      if keys.slots_BS is not None:
        mask = mask.of_slots(keys.slots_BS)
        bias_BNTS = masks.of_slots(bias_BNTS, keys.slots_BS)
    if config.window is not None:
      mask = mask.replace(window=config.window)
    out_BTNH = attended(self, q_BTNH, k_BTKH, v_BTKH, mask, bias_BNTS, train)
    out_BTD = layers.Dense(d.D, policy, config.out_bias, policy.residual_std,
                           name='out')(out_BTNH.reshape(d.B, d.T, -1))
    return out_BTD, cache


def attended(module: nn.Module, q_BTNH: jax.Array, k_BSKH: jax.Array,
             v_BSKH: jax.Array, mask: masks.Mask,
             bias_BNTS: jax.Array | None = None, train: bool = False
             ) -> jax.Array:
  """Attends with the options of a module's config; returns `out_BTNH`.

  Args:
    module: A module with an attention `config` and a function `attend`.
    q_BTNH: Queries.
    k_BSKH: Keys.
    v_BSKH: Values.
    mask: Which keys each query may see.
    bias_BNTS: Added to the logits.
    train: Whether dropout is on.
  """
  config = module.config
  rng = module.make_rng('dropout') if train and config.dropout else None
  options = dict(
      bias_BNTS=bias_BNTS, scale=config.scale, softcap=config.softcap)
  out_BTNH = module.attend(
      q_BTNH, k_BSKH, v_BSKH, mask, dropout=config.dropout, dropout_rng=rng,
      **options)
  if taps.asked(module, 'weights'):  # A fused kernel does not return them.
    weights_BNTS = taps.tap(module, 'weights', attend_lib.weights(
        q_BTNH, k_BSKH, mask, **options))
    if taps.written(module, 'weights'):
      out_BTNH = attend_lib.averaged(weights_BNTS, v_BSKH)
  return out_BTNH
