"""Cross-attention: the tokens of one sequence attend to another, the memory."""
from collections.abc import Callable

from flax import struct
import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import shapes
from lmjax.nn import attend as attend_lib
from lmjax.nn import attention
from lmjax.nn import caches
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import taps


@struct.dataclass
class Memory:
  """The output of an encoder, and the mask for attending to it.

  Attributes:
    mask: Which of the S memory tokens each of the T tokens may see.
    x_BSD: The encoder's output; None where a cache holds its keys and values.
  """
  mask: masks.Mask
  x_BSD: jax.Array | None = None


def visible(queries: masks.Mask, memory_segments_BS: jax.Array) -> masks.Mask:
  """Returns a mask under which tokens see all memory of their own segment.

  Args:
    queries: The mask of the tokens among themselves.
    memory_segments_BS: Segment of each memory token; 0 is padding.
  """
  segments_BT = queries.query_segments_BT
  if segments_BT is None:
    segments_BT = jnp.ones_like(queries.query_positions_BT)
  return masks.Mask(
      jnp.zeros_like(segments_BT), jnp.zeros_like(memory_segments_BS),
      segments_BT, memory_segments_BS, causal=False)


class CrossAttention(nn.Module):
  """Attention with queries from the tokens, keys and values from the memory.

  Keys and values are computed once and then kept in a cache. Positions are not
  used: a distance between tokens of two sequences has no meaning, so there is
  no window and no rotation.

  References:
    Vaswani et al., Attention Is All You Need, arXiv:1706.03762, section 3.2.3.
  """
  config: attention.AttentionConfig
  policy: layers.Policy
  attend: Callable[..., jax.Array] = attend_lib.best

  @nn.compact
  def __call__(self, x_BTD: jax.Array, memory: Memory,
               cache: caches.Contiguous | None = None, train: bool = False
               ) -> tuple[jax.Array, caches.Contiguous]:
    """Attends from `x_BTD` to the memory.

    Args:
      x_BTD: The hidden states of the tokens.
      memory: The memory that the tokens attend to.
      cache: Keys and values of the memory, used where `memory.x_BSD` is None.
      train: Whether dropout is on.

    Returns:
      The output of the branch, `out_BTD`, and the memory's keys and values.
    """
    config, policy = self.config, self.policy
    d = shapes.bind(x_BTD=x_BTD)
    size = config.size(d.D)

    def heads(name, x, count):
      projected = layers.Dense(count * size, policy, config.bias, name=name)(x)
      return projected.reshape(d.B, -1, count, size)

    q_BTNH = heads('query', x_BTD, config.num_heads)
    if config.qk_norm is not None:
      q_BTNH = config.qk_norm.build('query_norm')(q_BTNH)
    if memory.x_BSD is None:
      k_BSKH, v_BSKH = (
          jnp.swapaxes(x, 1, 2).astype(policy.dtype)
          for x in (cache.k_BKSH, cache.v_BKSH))
    else:
      k_BSKH = heads('key', memory.x_BSD, config.kv_heads)
      v_BSKH = heads('value', memory.x_BSD, config.kv_heads)
      if config.qk_norm is not None:
        k_BSKH = config.qk_norm.build('key_norm')(k_BSKH)
      cache = caches.Contiguous(
          jnp.swapaxes(k_BSKH, 1, 2), jnp.swapaxes(v_BSKH, 1, 2))
    q_BTNH, k_BSKH, v_BSKH = (taps.tap(self, name, x) for name, x in (
        ('queries', q_BTNH), ('keys', k_BSKH), ('values', v_BSKH)))
    out_BTNH = attention.attended(
        self, q_BTNH, k_BSKH, v_BSKH, memory.mask, train=train)
    out_BTD = layers.Dense(d.D, policy, config.out_bias, policy.residual_std,
                           name='out')(out_BTNH.reshape(d.B, d.T, -1))
    return out_BTD, cache
