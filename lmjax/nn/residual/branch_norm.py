"""Blocks with norms before their branches, after them, or both."""
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
from lmjax.nn.residual import branches
from lmjax.nn import taps


@dataclasses.dataclass(frozen=True)
@ranges.checked
class BranchNorm:
  """Norms before and after each branch, and a multiplier on its output.

  A branch f maps the residual stream x to
  x + multiplier * after(f(before(x))).

  Attributes:
    mixer: The mixer.
    mlp: The feed-forward network.
    before: The norm of a branch's input; None for no norm.
    after: The norm of a branch's output; None for no norm.
    mlp_norm: The norm of the MLP's input, instead of `before`; None means
      `before`.
    multiplier: Multiplies a branch's output.
    dropout: Dropout rate on the output of both branches.

  References:
    Gemma Team, Gemma 2, arXiv:2408.00118, section 2 (both norms); OLMo Team,
    2 OLMo 2 Furious, arXiv:2501.00656, section 2 (only the norms after);
    Yang et al., Tensor Programs VI, arXiv:2310.02244, section 4 (multipliers);
    Warner et al., ModernBERT, arXiv:2412.13663, section 2.1 (the mixer of the
    first layer has no norm before it).
  """
  mixer: branches.Mixer = attention.AttentionConfig()
  mlp: branches.MLP = layers.MLPConfig()
  before: layers.Norm | None = layers.RMSNorm()
  after: layers.Norm | None = layers.RMSNorm()
  mlp_norm: layers.Norm | None = None
  multiplier: ranges.Positive = 1.0
  dropout: ranges.Rate = 0.0

  def module(self) -> type[nn.Module]:
    return BranchNormBlock


class BranchNormBlock(nn.Module):
  """A mixer then an MLP, each between its norms.

  Parameters: `mixer_norm`, `mixer`, `mixer_out_norm`, `mlp_norm`, `mlp` and
  `mlp_out_norm`; a norm that is None has no parameters.
  """
  config: BranchNorm
  policy: layers.Policy
  positions: positions_lib.Positions
  attend: Callable[..., jax.Array] = attend_lib.best

  @nn.compact
  def __call__(self, x_BTD, cache, mask, bias_BNTS, slots_B, train):
    """Returns the residual stream, `x_BTD`, and the cache with T more keys."""
    config = self.config
    drop = layers.Dropout(config.dropout, deterministic=not train)
    x_BTD = taps.tap(self, 'input', placement.tokens(x_BTD))

    h_BTD = _normed(config.before, x_BTD, 'mixer_norm')
    h_BTD, cache = config.mixer.build(
        self.policy, self.positions, self.attend, 'mixer')(
            h_BTD, mask, bias_BNTS, cache, slots_B, train)
    h_BTD = _normed(config.after, h_BTD, 'mixer_out_norm')
    x_BTD += config.multiplier * drop(h_BTD)
    x_BTD = taps.tap(self, 'after_mixer', x_BTD)

    h_BTD = _normed(config.mlp_norm or config.before, x_BTD, 'mlp_norm')
    h_BTD = config.mlp.build(self.policy, 'mlp')(
        h_BTD, train, mask.query_segments_BT)
    h_BTD = _normed(config.after, h_BTD, 'mlp_out_norm')
    x_BTD += config.multiplier * drop(h_BTD)
    return taps.tap(self, 'after_mlp', x_BTD), cache


def _normed(norm, x_BTD, name):
  return x_BTD if norm is None else norm.build(name)(x_BTD)
