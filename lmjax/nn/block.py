"""Transformer blocks and a stack of them: looped or scanned, with remat."""
from collections.abc import Callable
import dataclasses
from typing import Any, Literal

import flax.core.scope
import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import placement
from lmjax.nn import attend as attend_lib
from lmjax.nn import attention
from lmjax.nn.distributed import stages
from lmjax.nn import layers
from lmjax.nn import positions as positions_lib
from lmjax.nn.residual import branch_norm
from lmjax.nn.residual import branches
from lmjax.nn.residual import parallel
from lmjax.nn import taps


@dataclasses.dataclass(frozen=True)
class PreNorm:
  """Norms before the mixer and the MLP, inside the residual branches.

  Attributes:
    mixer: Which mixer to build.
    mlp: Which feed-forward network.
    norm: Which norm, twice.
    dropout: Rate on the output of both branches.

  References:
    Xiong et al., On Layer Normalization in the Transformer Architecture,
    arXiv:2002.04745, figure 1b.
  """
  mixer: branches.Mixer = attention.AttentionConfig()
  mlp: branches.MLP = layers.MLPConfig()
  norm: layers.Norm = layers.LayerNorm()
  dropout: float = 0.0

  def __post_init__(self):
    branches.check_dropout(self.dropout)

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
  """Two residual branches, a mixer then an MLP, each behind its norm."""
  config: Config
  policy: layers.Policy
  positions: positions_lib.Positions
  attend: Callable[..., jax.Array] = attend_lib.best

  @nn.compact
  def __call__(self, x_BTD, cache, mask, bias_BNTS, index, train):
    """Returns the residual stream, `x_BTD`, and the cache with T more keys."""
    config = self.config
    drop = layers.Dropout(config.dropout, deterministic=not train)
    x_BTD = taps.tap(self, 'input', placement.tokens(x_BTD))

    h_BTD = config.norm.build('mixer_norm')(x_BTD)
    h_BTD, cache = config.mixer.build(
        self.policy, self.positions, self.attend, 'mixer')(
            h_BTD, mask, bias_BNTS, cache, index, train)
    x_BTD = taps.tap(self, 'after_mixer', x_BTD + drop(h_BTD))

    h_BTD = config.norm.build('mlp_norm')(x_BTD)
    h_BTD = config.mlp.build(self.policy, 'mlp')(
        h_BTD, train, mask.query_segments_BT)
    return taps.tap(self, 'after_mlp', x_BTD + drop(h_BTD)), cache


class PostNormBlock(PreNormBlock):
  """The same two branches, with the norms on the residual stream."""

  @nn.compact
  def __call__(self, x_BTD, cache, mask, bias_BNTS, index, train):
    """Returns the residual stream, `x_BTD`, and the cache with T more keys."""
    config = self.config
    drop = layers.Dropout(config.dropout, deterministic=not train)
    x_BTD = taps.tap(self, 'input', placement.tokens(x_BTD))

    h_BTD, cache = config.mixer.build(
        self.policy, self.positions, self.attend, 'mixer')(
            x_BTD, mask, bias_BNTS, cache, index, train)
    x_BTD = config.norm.build('mixer_norm')(x_BTD + drop(h_BTD))
    x_BTD = taps.tap(self, 'after_mixer', x_BTD)

    h_BTD = config.mlp.build(self.policy, 'mlp')(
        x_BTD, train, mask.query_segments_BT)
    x_BTD = config.norm.build('mlp_norm')(x_BTD + drop(h_BTD))
    return taps.tap(self, 'after_mlp', x_BTD), cache


@dataclasses.dataclass(frozen=True)
class Alternating:
  """Global attention in every n-th layer, from the first on; else local.

  Attributes:
    window: Local layers see tokens closer than this many positions, on both
      sides where attention is not causal.
    every: Layers 0, `every`, 2 * `every` ... are global.
    theta: Base of the local layers' rotary wavelengths; None leaves it.

  References:
    Warner et al., ModernBERT, arXiv:2412.13663, section 2.1; Gemma Team,
    Gemma 3, arXiv:2503.19786, section 2.
  """
  window: int = 65
  every: int = 3
  theta: float | None = 10_000.0

  def __post_init__(self):
    if self.window < 1 or self.every < 2:
      raise errors.InputError(
          'Alternating attention needs window >= 1 and every >= 2; got '
          f'{self.window} and {self.every}.')

  def layer(self, index: int, config: Config, positions: positions_lib.Positions
            ) -> tuple[Config, positions_lib.Positions]:
    """Returns the block config and positions of one layer."""
    if index % self.every == 0:
      return config, positions
    mixer = dataclasses.replace(config.mixer, window=self.window)
    if self.theta is not None and isinstance(positions, positions_lib.Rotary):
      positions = dataclasses.replace(positions, theta=self.theta)
    return dataclasses.replace(config, mixer=mixer), positions


REMAT = {  # What the backward pass may keep instead of computing it again.
    'full': jax.checkpoint_policies.nothing_saveable,
    'dots': jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    # As 'dots', kept in the host's memory meanwhile.
    'offload': jax.checkpoint_policies.offload_dot_with_no_batch_dims(
        'device', 'pinned_host'),
}


class Stack(nn.Module):
  """L blocks, one after the other.

  Looped, layer i owns the parameters `layer_i/...`. Scanned, they carry a
  leading axis L under `layers/...`, and compile time does not grow with L.
  Shared, there is one `layer_0/...` that is applied L times, either way.
  """
  config: Config
  num_layers: int
  policy: layers.Policy
  positions: positions_lib.Positions
  attend: Callable[..., jax.Array] = attend_lib.best
  scan: bool = False
  remat: Literal['none', 'full', 'dots', 'offload'] = 'none'
  shared: bool = False
  alternating: Alternating | None = None  # Not with `scan` or `shared`.

  @nn.compact
  def __call__(self, x_BTD, cache, mask, bias_BNTS=None, index=None,
               train=False):
    """Returns the residual stream and the blocks' caches.

    Args:
      x_BTD: Embedded tokens.
      cache: None, a tuple of L caches, or when scanned one with a leading L.
      mask: Which keys each token may see.
      bias_BNTS: Added to all attention logits.
      index: The cache slot of the first of the T tokens.
      train: Whether dropout is on.
    """
    block = self.config.module()
    if self.remat != 'none':
      block = nn.remat(block, prevent_cse=not self.scan, static_argnums=(6,),
                       policy=REMAT[self.remat])
    if placement.axes('layers') and self.scan and not self.shared and (
        not self.is_initializing()):
      return self._pipelined(block, x_BTD, (mask, bias_BNTS), train), None
    if self.scan:
      scanned = nn.scan(
          block, length=self.num_layers,
          variable_axes={'intermediates': 0, 'losses': 0, 'metrics': 0}
          | taps.SCANNED | ({} if self.shared else {'params': 0}),
          variable_broadcast='params' if self.shared else False,
          split_rngs={'params': not self.shared, 'dropout': True},
          in_axes=(0, nn.broadcast, nn.broadcast, nn.broadcast, nn.broadcast),
          # Traced once, so that keys are those that one layer makes: stages
          # then drop the same.
          check_constancy_invariants=self.is_initializing(),
          metadata_params={nn.PARTITION_NAME: 'layers'})
      return scanned(
          self.config, self.policy, self.positions, self.attend,
          name='layer_0' if self.shared else 'layers')(
              x_BTD, cache, mask, bias_BNTS, index, train)
    caches = []
    for i in range(self.num_layers):
      config, positions = self.config, self.positions
      if self.alternating is not None:
        config, positions = self.alternating.layer(i, config, positions)
      if i == 0 or not self.shared:
        layer = block(
            config, self.policy, positions, self.attend, name=f'layer_{i}')
      x_BTD, layer_cache = layer(
          x_BTD, None if cache is None else cache[i], mask, bias_BNTS, index,
          train)
      caches.append(layer_cache)
    return x_BTD, None if cache is None else tuple(caches)

  def _pipelined(self, block, x_BTD, others, train):
    """Returns the residual stream, by layers that lie on different devices."""
    module = block(
        self.config, self.policy, self.positions, self.attend, parent=None)

    # As `nn.scan` makes them, so that both drop the same.
    rng = self.scope.rngs['dropout'] if train else None
    keys_L = None if rng is None else jax.random.split(
        rng.rng, self.num_layers)

    if self.variables.get(taps.WRITE, {}).get('layers'):
      raise errors.InputError(
          'Layers that are divided over devices can be read but not written '
          'to: write without a mesh that has stages.')

    def layer(params, x_BTD, others, key):
      mask, bias_BNTS = others
      (x_BTD, _), found = module.apply(
          {'params': params}, x_BTD, None, mask, bias_BNTS, None, train,
          rngs={} if key is None else {
              'dropout': flax.core.scope.LazyRng(key, (*rng.suffix, 'layers'))
          }, mutable=[taps.READ])
      return x_BTD, found

    x_BTD, found = stages.run(
        layer, self.variables['params']['layers'], x_BTD, others, keys_L)
    for name, values in found.items():
      self.put_variable(name, 'layers', values)
    return x_BTD


def stack_layers(params: dict[str, Any]) -> dict[str, Any]:
  """Returns looped parameters (`layer_0`, ...) as scanned ones (`layers`)."""
  names = sorted((name for name in params if name.startswith('layer_')),
                 key=lambda name: int(name.removeprefix('layer_')))
  rest = {k: v for k, v in params.items() if k not in names}
  stacked = jax.tree.map(
      lambda *leaves: jnp.stack(leaves), *(params[name] for name in names))
  return rest | {'layers': stacked}


def unstack_layers(params: dict[str, Any]) -> dict[str, Any]:
  """Returns scanned parameters as looped ones: `stack_layers` inverted."""
  rest = {k: v for k, v in params.items() if k != 'layers'}
  count = jax.tree.leaves(params['layers'])[0].shape[0]
  return rest | {
      f'layer_{i}': jax.tree.map(lambda leaf: leaf[i], params['layers'])
      for i in range(count)}
