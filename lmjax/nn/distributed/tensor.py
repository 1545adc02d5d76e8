"""Attention with heads divided over devices explicitly, inside `pmap`.

On a mesh, XLA does this automatically. Here each device holds the kernels of
its own heads: columns of query, key and value, and rows of the output.
"""
from collections.abc import Callable
import dataclasses
import re
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from lmjax.core import draws
from lmjax.core import errors
from lmjax.core import trees
from lmjax.nn import attend as attend_lib
from lmjax.nn import attention
from lmjax.nn import caches
from lmjax.nn.distributed import collectives
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions as positions_lib


@dataclasses.dataclass(frozen=True)
class Divided:
  """A mixer whose heads are divided over the devices of an axis.

  The output equals that of the undivided layer. Each device has the correct
  gradient of its own parameters; parameters that all devices hold have the same
  gradient on each, so no gradient needs a sum over this axis. It works in
  `pmap`, and in `shard_map` with `check_vma=False`. The parameters come from
  the undivided model: see `split`.

  Attributes:
    mixer: The config of the undivided layer.
    axis: The axis that divides the heads: its name, or one of the groups that
      `collectives.grid` lays over it.

  References:
    Shoeybi et al., Megatron-LM, arXiv:1909.08053, section 3.

  Example:
    >>> from lmjax.nn import masks, positions
    >>> whole = attention.AttentionConfig(num_heads=4)
    >>> setting = layers.Policy(), positions.NoPositions()
    >>> x_BTD, mask = np.ones((2, 3, 8)), masks.of_length(3)
    >>> params = whole.build(*setting).init(
    ...     jax.random.key(0), x_BTD, mask)['params']
    >>> axes = collectives.grid('devices', data=2, model=2)
    >>> layer = Divided(whole, axes['model']).build(*setting)
    >>> def on_each_device(params, x_BTD):
    ...   return layer.apply({'params': params}, x_BTD, mask)[0]
    >>> of_each_device = split(params, axes['model'])
    >>> of_each_device['query']['kernel'].shape
    (4, 8, 4)
    >>> rows = np.repeat(x_BTD[:, None], 2, axis=0)  # A row on two devices.
    >>> jax.pmap(on_each_device, axis_name='devices',
    ...          devices=jax.devices()[:4])(of_each_device, rows).shape
    (4, 1, 3, 8)
  """
  mixer: attention.AttentionConfig
  axis: str | collectives.Axis

  attends = True  # As `mixer` does.

  @property
  def num_heads(self) -> int:
    """The number of query heads on all devices, N."""
    return self.mixer.num_heads

  def size(self, width: int) -> int:
    """The size H of a head in a model of this width."""
    return self.mixer.size(width)

  def empty_cache(self, batch: int, length: int, width: int, dtype
                  ) -> caches.Contiguous:
    """Returns this device's share of a cache; call it where the axis is bound.
    """
    return self.share(width).empty_cache(batch, length, width, dtype)

  def share(self, width: int) -> attention.AttentionConfig:
    """Returns one device's part of the layer; call it where the axis is bound.

    Raises:
      InputError: If the heads, or key heads, do not divide over the devices.
    """
    mixer, count = self.mixer, collectives.named(self.axis).size
    for field, heads in (('num_heads', mixer.num_heads),
                         ('num_kv_heads', mixer.kv_heads)):
      if heads % count:
        nearest = max(n for n in range(1, count + 1) if heads % n == 0)
        raise errors.InputError(
            f'mixer.{field} = {heads} does not divide over {count} devices; '
            f'the nearest number that it divides over is {nearest}.')
    return dataclasses.replace(
        mixer, num_heads=mixer.num_heads // count,
        num_kv_heads=mixer.kv_heads // count, head_size=mixer.size(width))

  def build(self, policy: layers.Policy, positions: positions_lib.Positions,
            attend: Callable[..., jax.Array] = attend_lib.best,
            name: str | None = None) -> nn.Module:
    return DividedAttention(self, policy, positions, attend, name=name)


class DividedAttention(nn.Module):
  """Self-attention with this device's heads, summed over the devices."""
  config: Divided
  policy: layers.Policy
  positions: positions_lib.Positions = positions_lib.NoPositions()
  attend: Callable[..., jax.Array] = attend_lib.best

  @nn.compact
  def __call__(self, x_BTD: jax.Array, mask: masks.Mask,
               bias_BNTS: jax.Array | None = None,
               cache: caches.Contiguous | None = None,
               slots_B: jax.Array | None = None, train: bool = False
               ) -> tuple[jax.Array, caches.Contiguous | None]:
    """Attends; the arguments and results are those of `attention.Attention`.

    All arguments except the cache should be the same on the devices that share
    the heads.
    """
    if self.is_initializing():
      raise errors.InputError(
          'Divided heads start from the parameters of the undivided model: '
          'initialise that, and divide its parameters by `tensor.split`.')
    axis = collectives.named(self.config.axis)
    share = self.config.share(x_BTD.shape[-1])
    x_BTD = collectives.fan_out(x_BTD, axis)
    if bias_BNTS is not None:
      bias_BNTS = jax.lax.dynamic_slice_in_dim(
          collectives.fan_out(bias_BNTS, axis),
          axis.index() * share.num_heads, share.num_heads, axis=1)
    rngs = {}
    if train and share.dropout:
      rngs['dropout'] = self.make_rng('dropout')
    with draws.divided(heads=axis):
      part_BTD, cache = attention.Attention(
          share, self.policy, self.positions, self.attend).apply(
              {'params': _own(self.variables['params'], axis)}, x_BTD, mask,
              bias_BNTS, cache, slots_B, train, rngs=rngs)
    return collectives.fan_in(part_BTD, axis), cache


def _own(params, axis):
  """Returns the parameters for one device's part of the sum over devices."""
  own = {name: collectives.fan_out(leaves, axis)
         if name.endswith('_norm') else leaves
         for name, leaves in params.items()}
  if 'bias' in params['out']:  # Each device adds its share of the bias.
    bias_D = collectives.fan_out(params['out']['bias'], axis)
    own['out'] = params['out'] | {'bias': bias_D / axis.size}
  return own


_COLUMNS = re.compile('(.*mixer/)?(query|key|value)/(kernel|bias)')
_ROWS = re.compile('(.*mixer/)?out/kernel')


def split(params: Any, devices: int | collectives.Axis) -> Any:
  """Returns each device's parameters along a new first axis, on the host.

  Args:
    params: Parameters of an attention layer, or of a whole model whose
      attention layers are named `mixer`. Parameters without heads are copied.
    devices: The number of devices that share the heads, or an axis with groups
      that share the heads; the result is then for all devices of the axis.
  """
  places = np.arange(devices) if isinstance(devices, int) else np.array(
      _groups(devices) and devices.places)
  count = max(places) + 1

  def parts(path, leaf):
    leaf, axis = np.asarray(leaf), _divided_axis(path)
    if axis is None:
      return np.repeat(leaf[None], len(places), axis=0)
    if leaf.shape[axis] % count:
      raise errors.InputError(
          f'{path} of shape {leaf.shape} does not divide over {count} devices.')
    return np.stack(np.split(leaf, count, axis))[places]

  return trees.map_paths(parts, params)


def join(params: Any, devices: int | collectives.Axis) -> Any:
  """Undoes `split`, on parameters or their gradients."""
  first = range(devices) if isinstance(devices, int) else _groups(devices)[0]

  def whole(path, leaf):
    leaf, axis = np.asarray(leaf), _divided_axis(path)
    if axis is None:
      return leaf[0]
    return np.concatenate([leaf[number] for number in first], axis)

  return trees.map_paths(whole, params)


def _groups(axis):
  if axis.groups is None:
    raise errors.InputError(
        f'How many devices axis {axis.name!r} has is known only inside `pmap`: '
        'give their number, or an axis with groups.')
  return axis.groups


def _divided_axis(path):
  if _COLUMNS.fullmatch(path):
    return -1
  return -2 if _ROWS.fullmatch(path) else None
