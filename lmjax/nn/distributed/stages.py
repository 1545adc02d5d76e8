"""Pipeline parallelism: parts of a batch pass through stages of layers."""
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lmjax.core import draws
from lmjax.core import errors
from lmjax.core import placement

# layer(params, x_BTD, others, key) -> x_BTD, kept: one layer on the rows of one
# part. `kept` is a tree of arrays with an axis of rows, such as {}.
Layer = Callable[
    [Any, jax.Array, Any, jax.Array | None], tuple[jax.Array, Any]]


def run(layer: Layer, params: Any, x_BTD: jax.Array, others: Any,
        keys_L: jax.Array | None = None) -> tuple[jax.Array, Any]:
  """Applies L layers in order, divided over S stages of L / S layers each.

  The batch is cut into M parts, like the microbatches of `training.step`. While
  a stage works on one part, the previous stage works on the next part. This
  takes M + S - 1 turns, and each stage is idle in S - 1 of them. Between turns
  each stage sends its part to the next stage; stages exchange nothing else. The
  last stage returns the result.

  All stages form one array with a leading axis of size S that is divided over
  devices, so other axes of the mesh divide a stage like a model without stages.

  Args:
    layer: The function of a layer.
    params: Parameters of all layers, with a leading axis L.
    x_BTD: The input of the first layer.
    others: Other arrays that every layer reads, with a leading axis of B, or of
      1 if all rows share them; or None.
    keys_L: The dropout key of each layer; None for no dropout. Values drawn
      with `draws` for a row do not depend on the row's part.

  Returns:
    The output of the last layer, and the values that the layers have kept, with
    a leading axis L.

  Raises:
    InputError: If the rows do not divide into the parts, or the layers into the
      stages.

  References:
    Huang et al., GPipe, arXiv:1811.06965, section 2.3; Xu et al., GSPMD,
    arXiv:2105.04663, section 3.3 (as one array that is shifted).
  """
  (stage_axis,), place = placement.axes('layers'), placement.current()
  parts, stages = place.microbatches, placement.count('layers')
  rows, length = len(x_BTD), len(jax.tree.leaves(params)[0])
  if rows % parts or length % stages:
    raise errors.InputError(
        f'A pipeline of {stages} stages and {parts} microbatches needs a '
        f'multiple of {stages} layers and of {parts} rows; got {rows} rows and '
        f'{length} layers.')
  params = jax.tree.map(
      lambda p: placement.over(
          p.reshape(stages, length // stages, *p.shape[1:]), 'layers'), params)
  keys_SL = None if keys_L is None else keys_L.reshape(stages, -1)
  leaves, structure = jax.tree.flatten((x_BTD, others))
  travels = [len(leaf) == rows for leaf in leaves]

  def stage(params, keys_L, leaves, part):
    """Applies one stage's layers to the part of the batch that it holds."""
    x_BTD, others = structure.unflatten(leaves)

    def step(x_BTD, of_layer):
      params, key = of_layer
      return layer(params, x_BTD, others, key)

    with draws.every(parts, part):
      return jax.lax.scan(step, x_BTD, (params, keys_L))

  all_stages = jax.vmap(
      stage, in_axes=(0, 0, [0 if t else None for t in travels], 0),
      spmd_axis_name=stage_axis)
  number_S = jnp.arange(stages)

  def turn(held, number):
    """Moves all parts by one stage, then runs all stages."""
    came = [jax.lax.dynamic_index_in_dim(
        x, jnp.minimum(number, parts - 1), keepdims=False) for x in waiting]
    held = [_entered(x, new) for x, new in zip(held, came)]
    moving = iter(held)
    x_SBTD, kept = all_stages(
        params, keys_SL, [next(moving) if t else leaf
                          for t, leaf in zip(travels, leaves)],
        jnp.clip(number - number_S, 0, parts - 1))
    return [x_SBTD, *held[1:]], (x_SBTD, kept)

  waiting = [_cut(leaf, parts) for t, leaf in zip(travels, leaves) if t]
  held = [placement.over(
      jnp.zeros((stages, *x.shape[1:]), x.dtype), 'layers') for x in waiting]
  _, (out_USBTD, kept) = jax.lax.scan(
      turn, held, jnp.arange(parts + stages - 1))
  return _joined(out_USBTD[stages - 1:, stages - 1]), jax.tree.map(
      lambda x: _of_layers(x, parts, stages), kept)


def _entered(held, new):
  """Moves the parts by one stage; the first stage gets the new part."""
  held = placement.over(jnp.roll(held, 1, axis=0), 'layers')
  first = jnp.arange(len(held)).reshape(-1, *(1,) * new.ndim) == 0
  return jnp.where(first, new[None], held)


def _of_layers(x, parts, stages):
  """Returns kept values, [turns, S, L / S, B / M, ...], as [L, B, ...]."""
  x = jnp.stack([  # A part reaches each stage one turn after the previous one.
      x[stage:stage + parts, stage] for stage in range(stages)])
  x = jnp.moveaxis(x, 1, 2)
  return jax.vmap(_joined)(x.reshape(-1, *x.shape[2:]))


def _cut(x, parts):
  """Returns rows [B, ...] as [M, B / M, ...]; a part has rows of each device.
  """
  return x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1)


def _joined(x):
  """Undoes `_cut`."""
  return x.swapaxes(0, 1).reshape(-1, *x.shape[2:])
