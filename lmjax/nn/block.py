"""Transformer blocks with norms before or after their residual branches."""
from collections.abc import Callable
import dataclasses

import flax.linen as nn
import jax

from lmjax.core import placement
from lmjax.core import ranges
from lmjax.nn import attend as attend_lib
from lmjax.nn import attention
from lmjax.nn import layers
from lmjax.nn import positions as positions_lib
from lmjax.nn.residual import branch_norm
from lmjax.nn.residual import branches
from lmjax.nn.residual import parallel
from lmjax.nn import taps


@dataclasses.dataclass(frozen=True)
@ranges.checked
class PreNorm:
  """Norms before the mixer and the MLP, inside the residual branches.

  Attributes:
    mixer: The mixer.
    mlp: The feed-forward network.
    norm: The norm of both branches.
    dropout: Dropout rate on the output of both branches.

  References:
    Xiong et al., On Layer Normalization in the Transformer Architecture,
    arXiv:2002.04745, figure 1b.
  """
  mixer: branches.Mixer = attention.AttentionConfig()
  mlp: branches.MLP = layers.MLPConfig()
  norm: layers.Norm = layers.LayerNorm()
  dropout: ranges.Rate = 0.0

  def module(self) -> type[nn.Module]:
    return PreNormBlock


@dataclasses.dataclass(frozen=True)
class PostNorm(PreNorm):
  """Norms after each residual sum, as in the original Transformer.

  References:
    Vaswani et al., arXiv:1706.03762, section 3.1.
  """

  def module(self) -> type[nn.Module]:
    return PostNormBlock


Config = PreNorm | PostNorm | branch_norm.BranchNorm | parallel.Parallel


class PreNormBlock(nn.Module):
  """Two residual branches, a mixer then an MLP, each after its own norm."""
  config: Config
  policy: layers.Policy
  positions: positions_lib.Positions
  attend: Callable[..., jax.Array] = attend_lib.best

  @nn.compact
  def __call__(self, x_BTD, cache, mask, bias_BNTS, slots_B, train):
    """Returns the residual stream, `x_BTD`, and the cache with T more keys."""
    config = self.config
    drop = layers.Dropout(config.dropout, deterministic=not train)
    x_BTD = taps.tap(self, 'input', placement.tokens(x_BTD))

    h_BTD = config.norm.build('mixer_norm')(x_BTD)
    h_BTD, cache = config.mixer.build(
        self.policy, self.positions, self.attend, 'mixer')(
            h_BTD, mask, bias_BNTS, cache, slots_B, train)
    x_BTD = taps.tap(self, 'after_mixer', x_BTD + drop(h_BTD))

    h_BTD = config.norm.build('mlp_norm')(x_BTD)
    h_BTD = config.mlp.build(self.policy, 'mlp')(
        h_BTD, train, mask.query_segments_BT)
    return taps.tap(self, 'after_mlp', x_BTD + drop(h_BTD)), cache


class PostNormBlock(PreNormBlock):
  """The same two branches, with the norms on the residual stream."""

  @nn.compact
  def __call__(self, x_BTD, cache, mask, bias_BNTS, slots_B, train):
    """Returns the residual stream, `x_BTD`, and the cache with T more keys."""
    config = self.config
    drop = layers.Dropout(config.dropout, deterministic=not train)
    x_BTD = taps.tap(self, 'input', placement.tokens(x_BTD))

    h_BTD, cache = config.mixer.build(
        self.policy, self.positions, self.attend, 'mixer')(
            x_BTD, mask, bias_BNTS, cache, slots_B, train)
    x_BTD = config.norm.build('mixer_norm')(x_BTD + drop(h_BTD))
    x_BTD = taps.tap(self, 'after_mixer', x_BTD)

    h_BTD = config.mlp.build(self.policy, 'mlp')(
        x_BTD, train, mask.query_segments_BT)
    x_BTD = config.norm.build('mlp_norm')(x_BTD + drop(h_BTD))
    return taps.tap(self, 'after_mlp', x_BTD), cache
