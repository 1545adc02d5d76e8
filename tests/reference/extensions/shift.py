"""A mixer with parameters: each token is mixed with the one before it."""
import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp


@dataclasses.dataclass(frozen=True)
class ShiftConfig:
  """Token shift: w x_t + (1 - w) x_{t-1}, with a weight w for each channel.

  References:
    Peng et al., RWKV, arXiv:2305.13048, section 3.1.
  """
  num_heads: int = 1
  attends = False

  def size(self, width):
    """Returns the size of a head, which has all of the width."""
    return width

  def empty_cache(self, batch, length, width, dtype):
    """Returns the token before the first one."""
    del length
    return jnp.zeros((batch, 1, width), dtype)

  def build(self, policy, positions, attend=None, name=None):
    """Returns the module."""
    del policy, positions, attend
    return Shift(name=name)


class Shift(nn.Module):
  """The mixer of `ShiftConfig`."""

  @nn.compact
  def __call__(self, x_BTD, mask, bias_BNTS=None, cache=None, slots_B=None,
               train=False):
    """Returns the mixed tokens, and the last of them as the cache."""
    del bias_BNTS, slots_B, train
    weight_D = jax.nn.sigmoid(self.param(
        'weight', nn.initializers.zeros, x_BTD.shape[-1:])).astype(x_BTD.dtype)
    first_B1D = jnp.zeros_like(x_BTD[:, :1]) if cache is None else cache
    before_BTD = jnp.concatenate([first_B1D, x_BTD[:, :-1]], axis=1)
    begins_BT1 = mask.query_positions_BT[..., None] == 0
    before_BTD = jnp.where(begins_BT1, 0, before_BTD)
    return (weight_D * x_BTD + (1 - weight_D) * before_BTD,
            None if cache is None else x_BTD[:, -1:])
