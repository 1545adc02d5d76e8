"""Transformer blocks with cross-attention to a memory between mixer and MLP.

`stack.Stack` loops over them or scans them like any other block. Their mask is
a `Sight` and their cache is a `Cache`.
"""
from collections.abc import Callable
import dataclasses
from typing import Any

from flax import struct
import flax.linen as nn
import jax

from lmjax.core import errors
from lmjax.core import placement
from lmjax.nn import attend as attend_lib
from lmjax.nn import caches
from lmjax.nn import block as block_lib
from lmjax.nn import cross
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions as positions_lib
from lmjax.nn.residual import branches
from lmjax.nn import taps


@struct.dataclass
class Sight:
  """What a decoder's tokens attend to: their own sequence and the memory."""
  own: masks.Mask
  memory: cross.Memory


@struct.dataclass
class Cache:
  """The mixer's cache and, once computed, the memory's keys and values."""
  mixer: Any
  memory: caches.Contiguous | None = None


@dataclasses.dataclass(frozen=True)
class WithCross:
  """A block that attends to a memory between its mixer and its MLP.

  Cross-attention has the config of the mixer: heads, sizes, biases, scale.
  """
  block: block_lib.Config

  @property
  def mixer(self) -> branches.Mixer:
    """The mixer of the block's own sequence."""
    return self.block.mixer

  def module(self) -> type[nn.Module]:
    kinds = {block_lib.PreNorm: PreNormDecoderBlock,
             block_lib.PostNorm: PostNormDecoderBlock}
    if type(self.block) not in kinds:
      raise errors.InputError(
          f'No block with cross-attention is known for '
          f'{type(self.block).__name__}; set --config.model.block.kind to one '
          f'of {sorted(kind.__name__ for kind in kinds)}.')
    return kinds[type(self.block)]


class PreNormDecoderBlock(nn.Module):
  """Three residual branches, each after its own norm.

  References:
    Raffel et al., T5, arXiv:1910.10683, section 2.1.
  """
  config: WithCross
  policy: layers.Policy
  positions: positions_lib.Positions
  attend: Callable[..., jax.Array] = attend_lib.best

  @nn.compact
  def __call__(self, x_BTD, cache, sight, bias_BNTS, slots_B, train):
    """Returns the residual stream, `x_BTD`, and the cache with T more keys."""
    config = self.config.block
    drop = layers.Dropout(config.dropout, deterministic=not train)
    x_BTD = taps.tap(self, 'input', placement.tokens(x_BTD))

    h_BTD = config.norm.build('mixer_norm')(x_BTD)
    h_BTD, kept = self.mixed(h_BTD, cache, sight, bias_BNTS, slots_B, train)
    x_BTD = taps.tap(self, 'after_mixer', x_BTD + drop(h_BTD))

    h_BTD = config.norm.build('cross_norm')(x_BTD)
    h_BTD, memory = self.crossed(h_BTD, cache, sight, train)
    x_BTD = taps.tap(self, 'after_cross', x_BTD + drop(h_BTD))

    h_BTD = config.norm.build('mlp_norm')(x_BTD)
    h_BTD = config.mlp.build(self.policy, 'mlp')(
        h_BTD, train, sight.own.query_segments_BT)
    cache = None if cache is None else Cache(kept, memory)
    return taps.tap(self, 'after_mlp', x_BTD + drop(h_BTD)), cache

  def mixed(self, x_BTD, cache, sight, bias_BNTS, slots_B, train):
    """Returns the output of the mixer and its cache."""
    mixer = self.config.block.mixer.build(
        self.policy, self.positions, self.attend, 'mixer')
    cache = None if cache is None else cache.mixer
    return mixer(x_BTD, sight.own, bias_BNTS, cache, slots_B, train)

  def crossed(self, x_BTD, cache, sight, train):
    """Returns the output of cross-attention, and the memory's keys and values.
    """
    attention_over = cross.CrossAttention(
        self.config.block.mixer, self.policy, self.attend, name='cross')
    cache = None if cache is None else cache.memory
    return attention_over(x_BTD, sight.memory, cache, train)


class PostNormDecoderBlock(PreNormDecoderBlock):
  """The same three branches, with the norms on the residual stream.

  References:
    Vaswani et al., arXiv:1706.03762, section 3.1.
  """

  @nn.compact
  def __call__(self, x_BTD, cache, sight, bias_BNTS, slots_B, train):
    """Returns the residual stream, `x_BTD`, and the cache with T more keys."""
    config = self.config.block
    drop = layers.Dropout(config.dropout, deterministic=not train)
    x_BTD = taps.tap(self, 'input', placement.tokens(x_BTD))

    h_BTD, kept = self.mixed(x_BTD, cache, sight, bias_BNTS, slots_B, train)
    x_BTD = config.norm.build('mixer_norm')(x_BTD + drop(h_BTD))
    x_BTD = taps.tap(self, 'after_mixer', x_BTD)

    h_BTD, memory = self.crossed(x_BTD, cache, sight, train)
    x_BTD = config.norm.build('cross_norm')(x_BTD + drop(h_BTD))
    x_BTD = taps.tap(self, 'after_cross', x_BTD)

    h_BTD = config.mlp.build(self.policy, 'mlp')(
        x_BTD, train, sight.own.query_segments_BT)
    cache = None if cache is None else Cache(kept, memory)
    x_BTD = config.norm.build('mlp_norm')(x_BTD + drop(h_BTD))
    return taps.tap(self, 'after_mlp', x_BTD), cache
