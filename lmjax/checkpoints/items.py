"""Conversion of a training state to the items of a checkpoint, and back.

The items are `params`, `ema` and `carry` (if the state has them), each of which
can be read alone, and `rest`: step, key, optimizer state and all other fields.
"""
import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import trees
from lmjax.training import step as step_lib

_ALONE = ('params', 'ema', 'carry')


def of(state: step_lib.TrainState) -> dict[str, Any]:
  """Returns the items of a state, in which the typed key is its key data."""
  fields = {field.name: getattr(state, field.name)
            for field in dataclasses.fields(state)}
  fields['rng'] = jax.random.key_data(state.rng)
  kept = {k: v for k, v in fields.items() if v is not None}
  items = {name: kept.pop(name) for name in _ALONE if name in kept}
  return items | {'rest': kept}


def to_host(state: step_lib.TrainState) -> dict[str, Any]:
  """Returns host copies of the items, as dicts nested by the parts of paths."""
  items = of(state)
  shared = jax.tree.map(_shares_memory, items)
  items = jax.tree.map(  # The next step reuses the memory of the state.
      lambda leaf, copy: np.array(leaf) if copy else np.asarray(leaf),
      jax.device_get(items), shared)
  return {name: trees.nested(trees.items(tree))
          for name, tree in items.items()}


def to_state(
    found: dict[str, Any], target: step_lib.TrainState
) -> step_lib.TrainState:
  """Returns items as a state of the target's structure.

  Args:
    found: The output of `to_host`, read back. Its leaves are removed one by
      one, so that few arrays are in memory twice.
    target: A state or its shapes.
  """
  filled = {}
  for name, tree in jax.eval_shape(of, target).items():
    leaves = dict(trees.items(found.pop(name)))
    filled[name] = trees.map_paths(
        lambda path, _: jnp.asarray(leaves.pop(path)), tree)
  rest = filled.pop('rest')
  rng = jax.random.wrap_key_data(rest.pop('rng'), impl=_key_impl(target.rng))
  fields = {field.name: None for field in dataclasses.fields(target)}
  return step_lib.TrainState(**fields | filled | rest | {'rng': rng})


def size(state: step_lib.TrainState) -> int:
  """Returns the size of a state's arrays in bytes."""
  return sum(leaf.size * leaf.dtype.itemsize
             for leaf in jax.tree.leaves(jax.eval_shape(of, state)))


def _key_impl(key):
  """Returns the PRNG implementation of a typed key, or of its shape."""
  found = []
  jax.eval_shape(lambda key: found.append(jax.random.key_impl(key)), key)
  return found[0]


def _shares_memory(leaf) -> bool:
  """Returns whether `jax.device_get` may return the leaf's own memory."""
  return not isinstance(leaf, jax.Array) or any(
      device.platform == 'cpu' for device in leaf.devices())
