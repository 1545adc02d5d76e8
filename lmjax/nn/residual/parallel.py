"""Blocks whose mixer and MLP read the same residual stream, in parallel."""
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
class Parallel:
  """Both branches read the same stream: x + mixer(norm(x)) + mlp(norm(x)).

  Attributes:
    mixer: The mixer.
    mlp: The feed-forward network.
    norm: The norm of the mixer's input.
    mlp_norm: The norm of the MLP's input (GPT-NeoX); None means the output of
      `norm`, as for the mixer (GPT-J, Phi, Falcon, Cohere).
    dropout: Dropout rate on the output of both branches.

  References:
    Wang and Komatsuzaki, GPT-J-6B, 2021; Black et al., GPT-NeoX-20B,
    arXiv:2204.06745, section 2.1; Chowdhery et al., PaLM, arXiv:2204.02311,
    section 2.
  """
  mixer: branches.Mixer = attention.AttentionConfig()
  mlp: branches.MLP = layers.MLPConfig()
  norm: layers.Norm = layers.LayerNorm()
  mlp_norm: layers.Norm | None = None
  dropout: ranges.Rate = 0.0

  def module(self) -> type[nn.Module]:
    return ParallelBlock


class ParallelBlock(nn.Module):
  """A mixer and an MLP in parallel.

  Parameters: `mixer_norm`, `mixer`, `mlp_norm` (if the config sets it) and
  `mlp`.
  """
  config: Parallel
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
    mixed_BTD, cache = config.mixer.build(
        self.policy, self.positions, self.attend, 'mixer')(
            h_BTD, mask, bias_BNTS, cache, slots_B, train)
    if config.mlp_norm is not None:
      h_BTD = config.mlp_norm.build('mlp_norm')(x_BTD)
    h_BTD = config.mlp.build(self.policy, 'mlp')(
        h_BTD, train, mask.query_segments_BT)
    x_BTD = taps.tap(self, 'after_mixer', x_BTD + drop(mixed_BTD))
    return taps.tap(self, 'after_mlp', x_BTD + drop(h_BTD)), cache
