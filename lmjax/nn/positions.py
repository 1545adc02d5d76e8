"""How the positions of tokens enter a model: each variant uses one of 3 hooks.

A position can enter at the embedding (`embed`), in queries and keys (`rotate`)
or as a bias on attention logits (`bias`). `NoPositions` uses none of the hooks;
every other variant overrides the hook that it uses. The hooks run inside the
calling module's compact method, so a variant may have parameters.
"""
import dataclasses
import math
from typing import Annotated

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import rotary


@dataclasses.dataclass(frozen=True)
class NoPositions:
  """No positions; a causal model can still count the tokens that it sees.

  References:
    Kazemnejad et al., The Impact of Positional Encoding, arXiv:2305.19466.
  """

  def embed(self, x_BTD: jax.Array, positions_BT: jax.Array, context: int,
            policy: layers.Policy) -> jax.Array:
    """Returns the embeddings with positions added to them."""
    del positions_BT, context, policy
    return x_BTD

  def rotate(self, x_BTNH: jax.Array, positions_BT: jax.Array) -> jax.Array:
    """Returns queries or keys rotated by their positions."""
    del positions_BT
    return x_BTNH

  def bias(self, mask: masks.Mask, num_heads: int) -> jax.Array | None:
    """Returns `bias_BNTS` for the attention logits, or None."""
    del mask, num_heads
    return None


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Learned(NoPositions):
  """A learned vector for each position in the model's context.

  Attributes:
    offset: The table's row for position 0. In RoBERTa, OPT and BART this is 2,
      and the first two rows are unused.

  References:
    Radford et al., Improving Language Understanding, 2018.
  """
  offset: ranges.Natural = 0

  def embed(self, x_BTD, positions_BT, context, policy):
    table = layers.Embedding(
        context + self.offset, x_BTD.shape[-1], policy, name='positions')
    return x_BTD + table(positions_BT + self.offset)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Sinusoidal(NoPositions):
  """Sines and cosines of geometric wavelengths, added to the embeddings.

  Attributes:
    theta: Base of the wavelengths.

  References:
    Vaswani et al., Attention Is All You Need, arXiv:1706.03762, section 3.5.
  """
  theta: ranges.Positive = 10_000.0

  def embed(self, x_BTD, positions_BT, context, policy):
    size = x_BTD.shape[-1]
    angle_BTD = (positions_BT.astype(jnp.float32)[:, :, None] * jnp.asarray(
        rotary.frequencies(self.theta, size), jnp.float32)[None, None])
    table_BTD = jnp.concatenate([jnp.sin(angle_BTD), jnp.cos(angle_BTD)], -1)
    return x_BTD + table_BTD.astype(x_BTD.dtype)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Rotary(NoPositions):
  """Rotates queries and keys by position, so logits depend on distances.

  Attributes:
    theta: Base of the wavelengths.
    fraction: Fraction of each head's dimensions that are rotated, from the
      first on.
    scaling: How to extend a trained model to a longer context.
    interleaved: Whether pairs are neighbouring dimensions (GPT-J) rather than
      dimensions i and i + R/2 of the R rotated ones (GPT-NeoX, Llama).

  References:
    Su et al., RoFormer, arXiv:2104.09864.
  """
  theta: ranges.Positive = 10_000.0
  fraction: ranges.PositiveShare = 1.0
  scaling: rotary.Scaling | None = None
  interleaved: bool = False

  def rotate(self, x_BTNH, positions_BT):
    size = int(x_BTNH.shape[-1] * self.fraction)
    frequencies, magnitude = rotary.frequencies(self.theta, size), 1.0
    if self.scaling is not None:
      frequencies = self.scaling.of_texts(self.theta, size, positions_BT)
      magnitude = self.scaling.magnitude()
    return rotary.rotate(x_BTNH, positions_BT, frequencies, magnitude,
                         interleaved=self.interleaved)


@dataclasses.dataclass(frozen=True)
class Alibi(NoPositions):
  """A penalty on attention logits that grows linearly with distance.

  References:
    Press et al., Train Short, Test Long, arXiv:2108.12409.
  """

  def bias(self, mask, num_heads):
    slopes_N = jnp.asarray(alibi_slopes(num_heads), jnp.float32)
    distance_BTS = jnp.abs(mask.distances()).astype(jnp.float32)
    return -slopes_N[None, :, None, None] * distance_BTS[:, None]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class RoundedAlibi(Alibi):
  """ALiBi as the released code of Falcon computes it, with its rounding.

  The bias is the head's slope times the key's position, rounded to bfloat16,
  times `multiplier`. Without rounding that would only shift all logits of a
  query; with it, distances are exact for the first 256 keys only.

  Attributes:
    multiplier: Multiplies the bias; Falcon's is H ** -0.5.

  References:
    Almazrouei et al., The Falcon Series, arXiv:2311.16867 (RW models).
  """
  multiplier: ranges.Positive = 1.0

  def bias(self, mask, num_heads):
    slopes_N = jnp.asarray(alibi_slopes(num_heads), jnp.bfloat16)
    place_BS = mask.key_positions_BS.astype(jnp.bfloat16)
    bias_BNS = slopes_N[None, :, None] * place_BS[:, None]
    bias_BNS = self.multiplier * bias_BNS.astype(jnp.float32)
    rows, queries = mask.query_positions_BT.shape
    return jnp.broadcast_to(
        bias_BNS[:, :, None],
        (max(rows, len(place_BS)), num_heads, queries, place_BS.shape[1]))


def alibi_slopes(num_heads: int) -> np.ndarray:
  """Returns the slope of each head: powers of 2 ** (-8 / n), as in the paper.
  """
  n = 2 ** int(math.log2(num_heads))
  slopes = 2.0 ** (-8 / n * np.arange(1, n + 1))
  between = 2.0 ** (-8 / (2 * n) * np.arange(1, 2 * n + 1, 2))
  return np.concatenate([slopes, between[:num_heads - n]])


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Relative(NoPositions):
  """T5's learned bias for each head and each bucket of distances.

  Attributes:
    num_buckets: Number of buckets.
    max_distance: Distances from this one on share the last bucket.
    bidirectional: Whether later keys have their own buckets.

  References:
    Raffel et al., T5, arXiv:1910.10683, section 2.1.
  """
  num_buckets: Annotated[int, ranges.Range(4)] = 32
  max_distance: ranges.Count = 128
  bidirectional: bool = False

  def __post_init__(self):
    if self.max_distance <= self.num_buckets // 2:
      raise errors.InputError(
          'Relative positions need max_distance > '
          f'num_buckets / 2; got {self.num_buckets} and {self.max_distance}.')

  def bias(self, mask, num_heads):
    return self.bucket_bias(mask, num_heads, 'positions')

  def bucket_bias(self, mask: masks.Mask, num_heads: int, name: str
                  ) -> jax.Array:
    """Returns `bias_BNTS` from the table called `name`."""
    table = _BucketTable(self.num_buckets, num_heads, name=name)
    bucket_BTS = self.bucket(mask.distances())
    return jnp.moveaxis(table(bucket_BTS), -1, 1)

  def bucket(self, distance_BTS: jax.Array) -> jax.Array:
    """Returns the bucket of each distance, query position minus key position.
    """
    buckets, offset_BTS = self.num_buckets, 0
    if self.bidirectional:
      buckets //= 2
      offset_BTS = jnp.where(distance_BTS < 0, buckets, 0)
      distance_BTS = jnp.abs(distance_BTS)
    distance_BTS = jnp.maximum(distance_BTS, 0)
    exact = buckets // 2
    log_BTS = (jnp.log(jnp.maximum(distance_BTS, 1) / exact)
               / math.log(self.max_distance / exact))
    far_BTS = exact + (log_BTS * (buckets - exact)).astype(jnp.int32)
    return offset_BTS + jnp.where(
        distance_BTS < exact, distance_BTS, jnp.minimum(far_BTS, buckets - 1))


class _BucketTable(nn.Module):
  """A float32 bias for every bucket and head."""
  num_buckets: int
  num_heads: int

  @nn.compact
  def __call__(self, bucket_BTS):
    table = self.param('embedding', nn.initializers.normal(0.02),
                       (self.num_buckets, self.num_heads))
    return jnp.take(table, bucket_BTS, axis=0)


@dataclasses.dataclass(frozen=True)
class LearnedRelative(Learned):
  """A learned vector for each position, and a learned bias for distances.

  Its parameters are `positions`, as for `Learned`, and `distances`, the table
  of `Relative`.

  Attributes:
    relative: The buckets of distances.

  References:
    Song et al., MPNet, arXiv:2004.09297; the bias is in the released code.
  """
  relative: Relative = Relative(bidirectional=True)

  def bias(self, mask, num_heads):
    return self.relative.bucket_bias(mask, num_heads, 'distances')


Positions = (NoPositions | Learned | Sinusoidal | Rotary | Alibi
             | RoundedAlibi | Relative | LearnedRelative)
