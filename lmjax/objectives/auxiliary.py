"""Losses and measurements that layers hand over, besides what they return.

A layer sows values of each row of the batch, [B], in two Flax collections:
`losses`, which are added to the loss, and `metrics`, which are reported under
their names. A model whose layers sow nothing is left as it is.
"""
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import metrics
from lmjax.core import trees

COLLECTIONS = ('losses', 'metrics')


def apply(model: nn.Module, params: Any, *args: Any, **kwargs: Any
          ) -> tuple[Any, Mapping[str, Any]]:
  """Returns what `model.apply` does, and what its layers sowed.

  Args:
    model: Any module.
    params: Its parameters.
    *args: Of its method.
    **kwargs: Of its method and of `model.apply`: `rngs`, `method`.
  """
  return model.apply({'params': params}, *args, mutable=COLLECTIONS, **kwargs)


def add(means: Mapping[str, metrics.Mean], sown: Mapping[str, Any],
        weights_BT: jax.Array) -> dict[str, metrics.Mean]:
  """Returns an objective's means with what the layers sowed among them.

  A row counts as much as its tokens do in the loss. So totals and weights add
  up over devices and microbatches, and the loss is the mean it was plus the
  mean over rows of what was sown.

  Args:
    means: The objective's own; 'loss' is over `weights_BT`.
    sown: From `apply`. Losses are summed over layers, metrics averaged.
    weights_BT: How much each token counts.
  """
  weights_B = jnp.sum(jnp.asarray(weights_BT, jnp.float32), axis=1)
  out = dict(means)
  for leaf in jax.tree.leaves(sown.get('losses', {})):
    added = metrics.Mean.of(_by_row(leaf).sum(axis=0), weights_B)
    out['loss'] = out['loss'].replace(total=out['loss'].total + added.total)
  found = {}
  for path, leaf in trees.items(sown.get('metrics', {})):
    found.setdefault(path.split('/')[-2], []).append(_by_row(leaf))
  for name, leaves in found.items():
    out[name] = metrics.Mean.of(
        jnp.concatenate(leaves).mean(axis=0), weights_B)
  return out


def _by_row(leaf: jax.Array) -> jax.Array:
  """Returns what one layer, [B], or L scanned ones, [L, B], sowed as [L, B]."""
  return leaf.reshape(-1, leaf.shape[-1])
