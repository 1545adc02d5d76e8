"""A stack of blocks, looped or scanned, with remat, caches and stages."""
from collections.abc import Callable
from typing import Any, Literal

import flax.core.scope
import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import placement
from lmjax.nn import attend as attend_lib
from lmjax.nn.distributed import stages
from lmjax.nn import layers as layers_lib
from lmjax.nn import pattern as pattern_lib
from lmjax.nn import taps

REMAT = {  # Which values are saved for the backward pass, not recomputed.
    'full': jax.checkpoint_policies.nothing_saveable,
    'dots': jax.checkpoint_policies.dots_with_no_batch_dims_saveable,
    # Like 'dots', but saved in the host's memory.
    'offload': jax.checkpoint_policies.offload_dot_with_no_batch_dims(
        'device', 'pinned_host'),
}


class Stack(nn.Module):
  """L blocks, one after the other.

  In a loop, layer i has the parameters `layer_i/...`. With `scan`, compile time
  does not grow with L, and the layers of all complete periods have the
  parameters `layers/...` with a leading axis of repeats: `layers/...` itself if
  a period is one layer, otherwise `layers/place_j/...` for layer j of a period.
  The layers before and after the complete periods are `layer_i/...`, as in a
  loop. With `shared` there is one `layer_0/...`, which is applied L times, with
  or without `scan`.

  `core.layouts` converts parameters between these layouts.
  """
  arrangement: pattern_lib.Arrangement
  policy: layers_lib.Policy
  attend: Callable[..., jax.Array] = attend_lib.best
  scan: bool = False
  remat: Literal['none', 'full', 'dots', 'offload'] = 'none'
  shared: bool = False  # Needs layers that are all alike.

  @nn.compact
  def __call__(self, x_BTD, cache, mask, bias_BNTS=None, slots_B=None,
               train=False):
    """Returns the residual stream and the blocks' caches.

    Args:
      x_BTD: Embedded tokens.
      cache: None, or the result of `empty_caches` or of an earlier call.
      mask: Which keys each token may see.
      bias_BNTS: Added to the attention logits of all layers that have the
        model's own positions.
      slots_B: The cache slot of each row's first of the T tokens.
      train: Whether dropout is on.
    """
    arrangement, caches = self.arrangement, []
    for layer, module in self._modules():
      before = None if cache is None else cache[len(caches)]
      bias = bias_BNTS if layer is None else arrangement.bias(layer, bias_BNTS)
      if layer is None and self._divided():
        x_BTD, after = self._pipelined(x_BTD, (mask, bias), train), None
      else:
        x_BTD, after = module(x_BTD, before, mask, bias, slots_B, train)
      caches.append(after)
    return x_BTD, None if cache is None else tuple(caches)

  def _modules(self):
    """Returns pairs (layer, module) in order; the scan's layer is None."""
    arrangement = self.arrangement
    layers = arrangement.layers
    if self.shared and not self.scan:
      return [(layers[0], self._layer(0))] * len(layers)
    if not self.scan or not arrangement.repeats:
      return [(layer, self._layer(i)) for i, layer in enumerate(layers)]
    begin, end = len(arrangement.first), len(layers) - arrangement.left
    return [*((layers[i], self._layer(i)) for i in range(begin)),
            (None, self._scanned()),
            *((layers[i], self._layer(i)) for i in range(end, len(layers)))]

  def _layer(self, number):
    """Returns the block of one layer outside the scan."""
    layer = self.arrangement.layers[number]
    return _block(layer, self.remat)(
        layer.block, self.policy, layer.positions, self.attend,
        name=f'layer_{number}')

  def _scanned(self):
    """Returns the scan over periods."""
    return nn.scan(
        Period, length=self.arrangement.repeats,
        variable_axes={'intermediates': 0, 'losses': 0, 'metrics': 0}
        | taps.SCANNED | ({} if self.shared else {'params': 0}),
        variable_broadcast='params' if self.shared else False,
        split_rngs={'params': not self.shared, 'dropout': True},
        in_axes=(0, nn.broadcast, nn.broadcast, nn.broadcast, nn.broadcast),
        # Trace the layer once, so that it draws the same dropout keys here and
        # in pipeline stages.
        check_constancy_invariants=self.is_initializing(),
        metadata_params={nn.PARTITION_NAME: 'layers'})(
            *self._period, name='layer_0' if self.shared else 'layers')

  @property
  def _period(self):
    return self.arrangement, self.policy, self.attend, self.remat

  def _divided(self):
    """Returns whether the scanned layers are divided over devices."""
    return placement.axes('layers') and not self.shared and (
        not self.is_initializing())

  def _pipelined(self, x_BTD, others, train):
    """Returns the residual stream, from layers divided over devices."""
    module = Period(*self._period, parent=None)

    # The same keys as in `nn.scan`, so that both drop the same elements.
    rng = self.scope.rngs['dropout'] if train else None
    keys_L = None if rng is None else jax.random.split(
        rng.rng, self.arrangement.repeats)

    if self.variables.get(taps.WRITE, {}).get('layers'):
      raise errors.InputError(
          'Layers that are divided over devices can be read but not written '
          'to: write without a mesh that has stages.')

    def period(params, x_BTD, others, key):
      mask, bias_BNTS = others
      (x_BTD, _), found = module.apply(
          {'params': params}, x_BTD, None, mask, bias_BNTS, None, train,
          rngs={} if key is None else {
              'dropout': flax.core.scope.LazyRng(key, (*rng.suffix, 'layers'))
          }, mutable=[taps.READ])
      return x_BTD, found

    x_BTD, found = stages.run(
        period, self.variables['params']['layers'], x_BTD, others, keys_L)
    for name, values in found.items():
      self.put_variable(name, 'layers', values)
    return x_BTD


class Period(nn.Module):
  """The layers of a period, one after the other.

  Parameters: the block's own if the period is one layer, otherwise
  `place_0/...`, `place_1/...` and so on.
  """
  arrangement: pattern_lib.Arrangement
  policy: layers_lib.Policy
  attend: Callable[..., jax.Array] = attend_lib.best
  remat: str = 'none'

  @nn.compact
  def __call__(self, x_BTD, cache, mask, bias_BNTS, slots_B, train):
    """Returns the residual stream, `x_BTD`, and the layers' caches."""
    layers = self.arrangement.period
    caches = []
    for place, layer in enumerate(layers):
      block = _block(layer, self.remat, scanned=True)(
          layer.block, self.policy, layer.positions, self.attend,
          name=f'place_{place}')
      if len(layers) == 1:
        nn.share_scope(self, block)
      x_BTD, after = block(
          x_BTD, None if cache is None else cache[place], mask,
          self.arrangement.bias(layer, bias_BNTS), slots_B, train)
      caches.append(after)
    return x_BTD, None if cache is None else tuple(caches)


def empty_caches(arrangement: pattern_lib.Arrangement, scan: bool,
                 empty: Callable[[Any], Any]) -> tuple[Any, ...]:
  """Returns the caches of a stack before it has read a token.

  Args:
    arrangement: The layers of the stack.
    scan: Whether the layers are scanned. If so, all repeats of the period share
      one entry: a tuple of the caches of its layers, with a leading axis.
    empty: Returns the empty cache of a layer's block.
  """
  if not scan or not arrangement.repeats:
    return tuple(empty(layer.block) for layer in arrangement.layers)
  period = tuple(empty(layer.block) for layer in arrangement.period)
  return (*(empty(layer.block) for layer in arrangement.first),
          jax.tree.map(lambda leaf: jnp.stack([leaf] * arrangement.repeats),
                       period),
          *period[:arrangement.left])


def _block(layer, remat, scanned=False):
  """Returns the class of a layer's block, with the remat policy applied."""
  block = layer.block.module()
  if remat == 'none':
    return block
  return nn.remat(block, prevent_cse=not scanned, static_argnums=(6,),
                  policy=REMAT[remat])
