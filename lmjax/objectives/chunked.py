"""Cross-entropy from hidden states, with the logits of a few tokens at a time.

The logits of a batch are V / D times as large as its hidden states. Here a
chunk of tokens is scored at a time and, if a gradient is needed, differentiated
in the forward pass: the gradient is linear in the cotangent of the loss, so the
backward pass only multiplies by that cotangent. No product is computed twice.
"""
from collections.abc import Callable
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import placement
from lmjax.core import shapes
from lmjax.objectives import losses

Head = Callable[[Any, jax.Array], jax.Array]  # head(params, x_BTD) -> logits


def token_means(
    head: Head, params: Any, x_BTD: jax.Array, targets_BT: jax.Array,
    weights_BT: jax.Array, *, chunk: int, label_smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> dict[str, metrics.Mean]:
  """Returns `losses.token_means` of the logits `head(params, x_BTD)`.

  Differentiate only 'loss': with label smoothing or z-loss, where 'loss' and
  'nll' differ, the gradient of 'nll' is NaN. The weights get no gradient.

  Args:
    head: Maps parameters and hidden states to `logits_BTV`, each token by
      itself. It may not close over anything that is differentiated.
    params: Parameters of the head, and possibly others, which are not used.
    x_BTD: Hidden states.
    targets_BT: The tokens that the hidden states should predict.
    weights_BT: Weight of each token; 0 leaves it out.
    chunk: Most tokens whose logits exist at once, over all B rows; the rows
      share them evenly, and each has at least one.
    label_smoothing: Share of the target spread evenly over the vocabulary.
    z_loss: Weight of the squared log-normaliser.
  """
  if chunk < 1:
    raise errors.InputError(
        f'objective.chunk should be at least 1 token; got {chunk}.')
  d = shapes.bind(x_BTD=x_BTD, targets_BT=targets_BT, weights_BT=weights_BT)
  count = -(-d.T // min(d.T, max(1, chunk // d.B)))
  devices = placement.count('tokens')  # Each has as many tokens of a chunk.
  size = devices * -(-d.T // (count * devices))
  count = -(-d.T // size)

  def cut(x):  # [B, T, ...] to [count, B, size, ...], filled with weight 0.
    x = jnp.pad(x, [(0, 0), (0, count * size - d.T)] + [(0, 0)] * (x.ndim - 2))
    # A chunk is every count-th token, so that each device holds a part of it
    # where tokens are sharded.
    return jnp.moveaxis(x.reshape(d.B, size, count, *x.shape[2:]), 2, 0)

  leaves, structure = jax.tree.flatten(params)
  used = _used(lambda leaves, x_BTD: head(
      structure.unflatten(leaves), x_BTD), leaves, x_BTD[:, :size])
  # Zeros that take no memory stand for parameters that the head does not read.
  idle = [np.broadcast_to(np.zeros((), x.dtype), x.shape) for x in leaves]

  def of_chunk(some, x_BTD, targets_BT, weights_BT):
    every = list(idle)
    for index, leaf in zip(used, some):
      every[index] = leaf
    means = losses.token_means(
        head(structure.unflatten(every), x_BTD), targets_BT, weights_BT,
        label_smoothing=label_smoothing, z_loss=z_loss)
    return {name: mean.total for name, mean in means.items()}

  totals = _totals(of_chunk)(
      [leaves[index] for index in used], cut(x_BTD), cut(targets_BT),
      cut(weights_BT))
  if not label_smoothing and not z_loss:
    totals['nll'] = totals['loss']
  weight = jnp.sum(weights_BT.astype(jnp.float32))
  return {name: metrics.Mean(total, weight) for name, total in totals.items()}


def _totals(of_chunk):
  """Returns `totals(params, *chunks)`, the sums of `of_chunk` over chunks."""

  @jax.custom_vjp
  def totals(params, *chunks):
    def add(sums, chunk):
      return _add(sums, of_chunk(params, *chunk)), None
    return jax.lax.scan(
        add, dict.fromkeys(('loss', 'nll', 'accuracy'), jnp.zeros(())),
        chunks)[0]

  def forward(params, *chunks):
    def loss(params, x_BTD, *rest):
      found = of_chunk(params, x_BTD, *rest)
      return found['loss'], found

    def add(sums, chunk):
      (grads, x_grad_BTD), found = jax.grad(
          loss, argnums=(0, 1), has_aux=True)(params, *chunk)
      return _add(sums, (found, grads)), x_grad_BTD

    zeros = dict.fromkeys(('loss', 'nll', 'accuracy'), jnp.zeros(()))
    wide = [jnp.zeros(x.shape, jnp.float32) for x in params]
    (sums, grads), x_grad = jax.lax.scan(add, (zeros, wide), chunks)
    return sums, ([g.astype(p.dtype) for g, p in zip(grads, params)], x_grad)

  def backward(grads, cotangents):
    wrong = jnp.where(cotangents['nll'] == 0, 0.0, jnp.nan)
    factor = cotangents['loss'] + wrong
    scaled = jax.tree.map(lambda g: g * factor.astype(g.dtype), grads)
    return *scaled, None, None

  totals.defvjp(forward, backward)
  return totals


_add = functools.partial(jax.tree.map, jnp.add)


def _used(function, leaves, *args):
  """Returns the indices of the leaves that `function(leaves, *args)` reads."""
  trace = jax.make_jaxpr(function)(leaves, *args).jaxpr
  read = {id(var) for equation in trace.eqns for var in equation.invars}
  read |= {id(var) for var in trace.outvars}
  return [i for i, var in enumerate(trace.invars[:len(leaves)])
          if id(var) in read]
