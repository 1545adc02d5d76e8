"""Auxiliary losses and metrics that layers sow next to their output.

A layer sows one value for each row of the batch, [B], in two Flax collections:
`losses`, which are added to the loss, and `metrics`, which are reported under
their names. For a model whose layers sow nothing, nothing changes.
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
  """Returns the output of `model.apply`, and the values its layers sowed.

  Args:
    model: Any module.
    params: Its parameters.
    *args: Arguments of its method.
    **kwargs: Arguments of its method and of `model.apply`: `rngs`, `method`.
  """
  return model.apply({'params': params}, *args, mutable=COLLECTIONS, **kwargs)


def add(means: Mapping[str, metrics.Mean], sown: Mapping[str, Any],
        weights_BT: jax.Array) -> dict[str, metrics.Mean]:
  """Returns an objective's means with the sown losses and metrics added.

  A row has the sum of its tokens' weights as its weight. So totals and weights
  add up over devices and microbatches, and the new loss is the old mean plus
  the mean over rows of the sown losses.

  Args:
    means: The objective's means; 'loss' is over `weights_BT`.
    sown: Values from `apply`. Losses are summed over layers, metrics averaged.
    weights_BT: The weight of each token.
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
  """Returns the values sown by one layer, [B], or by L, [L, B], as [L, B]."""
  return leaf.reshape(-1, leaf.shape[-1])
