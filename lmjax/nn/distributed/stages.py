"""Layers divided over devices: parts of a batch pass from stage to stage."""
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lmjax.core import draws
from lmjax.core import errors
from lmjax.core import placement

# layer(params, x_BTD, others, key) -> x_BTD, kept: one layer of one part's
# rows, and a tree of arrays that it keeps of each of them, such as {}.
Layer = Callable[
    [Any, jax.Array, Any, jax.Array | None], tuple[jax.Array, Any]]


def run(layer: Layer, params: Any, x_BTD: jax.Array, others: Any,
        keys_L: jax.Array | None = None) -> tuple[jax.Array, Any]:
  """Applies L layers, of which each of S stages has L / S, one after another.

  The batch is cut into M parts, as `training.step` cuts microbatches. While a
  stage works on one part, the stage before it works on the next: M + S - 1
  turns in all, of which each stage is idle in S - 1. Between turns each stage
  hands its part on, which is all that stages exchange; the result comes from
  the last one.

  All stages are one array with a leading axis of size S, whose parts lie on
  different devices, so that other axes of the mesh divide a stage as they
  divide a model without stages.

  Args:
    layer: What a layer does.
    params: Of all layers, with a leading axis L.
    x_BTD: What enters the first.
    others: Arrays that every layer reads besides, with a leading axis of B, or
      of 1 where all rows share them; or None.
    keys_L: For dropout, each layer's; None is without. What is drawn by `draws`
      for a row does not depend on its part.

  Returns:
    What leaves the last layer, and what the layers have kept, with a leading
    axis L.

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
    """One stage's layers, on the part of the batch that has come to it."""
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
    """Hands everything on by a stage; each stage then computes."""
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
  """Returns what the stages hold once each has handed on, and one is new."""
  held = placement.over(jnp.roll(held, 1, axis=0), 'layers')
  first = jnp.arange(len(held)).reshape(-1, *(1,) * new.ndim) == 0
  return jnp.where(first, new[None], held)


def _of_layers(x, parts, stages):
  """Returns what was kept, [turns, S, L / S, B / M, ...], as [L, B, ...]."""
  x = jnp.stack([  # A part comes to each stage a turn later.
      x[stage:stage + parts, stage] for stage in range(stages)])
  x = jnp.moveaxis(x, 1, 2)
  return jax.vmap(_joined)(x.reshape(-1, *x.shape[2:]))


def _cut(x, parts):
  """Returns rows [B, ...] as [M, B / M, ...], each part some of each device."""
  return x.reshape(-1, parts, *x.shape[1:]).swapaxes(0, 1)


def _joined(x):
  """Undoes `_cut`."""
  return x.swapaxes(0, 1).reshape(-1, *x.shape[2:])
