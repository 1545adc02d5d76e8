"""Ulysses attention: exchanges a divided sequence for divided heads."""
from collections.abc import Callable
import dataclasses

import jax
import jax.numpy as jnp

from lmjax.core import draws
from lmjax.core import errors
from lmjax.core import placement
from lmjax.core import shapes
from lmjax.nn.distributed import collectives
from lmjax.nn.distributed import ring
from lmjax.nn import masks


@dataclasses.dataclass(frozen=True)
class Ulysses:
  """An `attend` for a sequence divided over the devices of an axis.

  With an all-to-all, each device exchanges all heads of its tokens for all
  tokens of its share of the heads; it attends, and exchanges the output back.
  Compared with `ring.Ring`, this takes four exchanges instead of a round of
  keys, can use any kernel, and balances the work in any layout. But the heads
  must divide over the devices, and each device attends over the whole length.

  Attributes:
    attend: The implementation of attention over the whole sequence, such as
      `attend.best`; it gets this device's share of the heads.
    axis: The axis that divides the sequence: its name, or one of the groups
      that `collectives.grid` lays over it.
    in_order: Whether the devices hold consecutive tokens rather than a zigzag.
      The mask can be `square`, as fused kernels require, only if this is True.

  References:
    Jacobs et al., DeepSpeed Ulysses, arXiv:2309.14509, section 3.

  Example:
    >>> from lmjax.nn import attend, masks
    >>> from lmjax.nn.distributed import sequence
    >>> batch = {'positions': jnp.arange(16)[None],
    ...          'x': jax.random.normal(jax.random.key(0), (1, 16, 4, 4))}
    >>> ulysses = Ulysses(attend.best)
    >>> def on_each_device(batch):  # Where a model has `attend=ulysses`.
    ...   x_BTNH = batch['x']
    ...   return ulysses(x_BTNH, x_BTNH, x_BTNH, masks.make(batch['positions']))
    >>> out = jax.pmap(on_each_device, axis_name='sequence',
    ...                devices=jax.devices()[:2])(sequence.split(batch, 2))
    >>> sequence.join(out).shape
    (1, 16, 4, 4)
  """
  attend: Callable[..., jax.Array]
  axis: str | collectives.Axis = 'sequence'
  in_order: bool = False

  def __call__(self, q_BTNH: jax.Array, k_BSKH: jax.Array, v_BSKH: jax.Array,
               mask: masks.Mask, *, bias_BNTS: jax.Array | None = None,
               dropout_rng: jax.Array | None = None, **options) -> jax.Array:
    """Attends from this device's T queries to the S keys of every device.

    The arguments and the result are the same as for `ring.Ring.__call__`.

    Raises:
      InputError: If the query heads do not divide over the devices, or neither
        of the numbers of key heads and devices divides the other, or
        `ring.check` raises it.
    """
    d = shapes.bind(q_BTNH=q_BTNH, k_BSKH=k_BSKH, v_BSKH=v_BSKH)
    axis = collectives.named(self.axis)
    count = axis.size
    ring.check(mask, bias_BNTS)
    if not placement.exchangeable(d.N, d.K, count):
      able = [n for n in range(1, d.N + 1)
              if placement.exchangeable(d.N, d.K, n)]
      nearest = min(able, key=lambda n: abs(n - count))
      raise errors.InputError(
          f'Ulysses divides heads: {d.N} query and {d.K} key heads do not '
          f'divide over {count} devices; the nearest number that they divide '
          f'over is {nearest}. Or use `ring.Ring`, which divides no heads.')
    if d.K % count:  # Fewer key heads than devices: devices share key heads.
      k_BSKH, v_BSKH = (
          jnp.repeat(x, count // d.K, axis=2) for x in (k_BSKH, v_BSKH))
    arrays = (axis.exchange(x, split=2, join=1)
              for x in (q_BTNH, k_BSKH, v_BSKH))
    with draws.divided(heads=_heads(axis, k_BSKH.shape[2])):
      out_BTNH = self.attend(
          *arrays, self._whole(axis, mask), bias_BNTS=None,
          dropout_rng=dropout_rng, **options)
    return axis.exchange(out_BTNH, split=1, join=2)

  def _whole(self, axis, mask):
    """Returns the mask of the whole sequence."""
    def gather(x_BT):
      return None if x_BT is None else axis.gather(x_BT, 1)
    return mask.replace(
        query_positions_BT=gather(mask.query_positions_BT),
        key_positions_BS=gather(mask.key_positions_BS),
        query_segments_BT=gather(mask.query_segments_BT),
        key_segments_BS=gather(mask.key_segments_BS),
        square=mask.square and self.in_order)


def _heads(axis, count):
  """Returns the places of the key heads that this device receives."""
  held, size = draws.here('heads', count), count // axis.size
  return draws.Places(
      held.index_N[axis.index() * size + jnp.arange(size)], held.total)
