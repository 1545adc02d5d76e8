"""Checks that a model trains the same on one device and on any mesh of devices.

As in `invariance`, the arguments are plain functions, and a failure reports the
difference, its place, and its usual causes.
"""
from collections.abc import Callable, Mapping, Sequence
import functools
from typing import Any, Literal

import jax
import numpy as np
import optax

from lmjax.core import trees
from lmjax.parallel import mesh as mesh_lib
from lmjax.parallel import sharding
from lmjax.parallel import strategy as strategy_lib
from lmjax.training import step as step_lib

_LOSS, _PARAMETERS = 1e-5, 1e-4


def assert_parallel_invariant(
    objective: step_lib.Objective, params: Any,
    batches: Callable[[int], Mapping[str, np.ndarray]], *,
    over: Sequence[str] | None = None,
    optimizer: optax.GradientTransformation | None = None, steps: int = 5,
    microbatches: int = 1, rules: sharding.Rules = sharding.RULES,
    sequence: Literal['ring', 'ulysses'] = 'ring',
    loss_tolerance: float = _LOSS, parameter_tolerance: float = _PARAMETERS,
) -> None:
  """Checks that training on any mesh of devices equals training on one device.

  Dropout may be on: masks drawn by `core.draws`, as in lmjax's layers, are the
  same on every mesh.

  Args:
    objective: `objective(params, batch, rng=key) -> {'loss': Mean, ...}`, with
      a Mean of total and weight, as in `train_step`.
    params: The initial parameters.
    batches: Function from a step to its batch. Rows should have unequal sums of
      weights: full rows would hide the most common mistake, a mean of means.
    over: Meshes, such as 'data:2,fsdp:4', and 'pmap'. By default each axis
      alone over all devices, and products of axes.
    optimizer: The optimizer; by default AdamW with learning rate 1e-3.
    steps: Number of updates to compare.
    microbatches: Number of parts into which a mesh cuts each batch.
    rules: How parameters are sharded; see `sharding`.
    sequence: How attention sees all tokens if devices share a sequence.
    loss_tolerance: Largest relative difference of a loss.
    parameter_tolerance: Largest absolute difference of a parameter at the end.

  Raises:
    AssertionError: If training differs; names the mesh and the first step, or
      the parameter. Also if the check would prove nothing.

  Example:
    >>> import jax.numpy as jnp
    >>> from lmjax.core import metrics
    >>> def objective(params, batch, rng=None):
    ...   error_BT = (batch['x'] @ params['w'] - batch['y'])**2
    ...   return {'loss': metrics.Mean.of(error_BT, batch['weights'])}
    >>> def batches(step):
    ...   x = np.random.default_rng(step).normal(size=(8, 3, 4))
    ...   return {'x': x, 'y': x[..., 0], 'weights': np.tri(8, 3)}
    >>> assert_parallel_invariant(
    ...     objective, {'w': jnp.ones(4)}, batches, over=['data:1'])
  """
  weights = np.asarray(batches(0).get('weights', np.ones((1, 1))))
  if len(set(weights.reshape(len(weights), -1).sum(axis=1).tolist())) == 1:
    raise AssertionError(
        'assert_parallel_invariant proves nothing: all rows count the same. '
        "Give batches a 'weights' with rows of different lengths.")
  optimizer = optimizer or optax.adamw(1e-3)
  run = functools.partial(
      _trained, objective, params, batches, optimizer, steps)
  want, want_losses = run(strategy_lib.Jit(), 1)
  for name in _meshes() if over is None else over:
    got, losses = run(_strategy(name, rules, sequence), microbatches)
    for i, (loss, other) in enumerate(zip(losses, want_losses), 1):
      if not abs(loss - other) <= loss_tolerance * abs(other):
        raise AssertionError(
            f'On {name} the loss of step {i} is {loss:.8g}; on one device it '
            f'is {other:.8g}. {_WHY[min(i, 2)]}')
    others = dict(trees.items(want))
    for path, leaf in trees.items(got):
      apart = float(np.max(np.abs(leaf - others[path]), initial=0.0))
      if not apart <= parameter_tolerance:
        raise AssertionError(
            f'On {name} the parameter {path} is {apart:.1e} off after {steps} '
            f'steps. {_WHY[2]}')


_WHY = {
    1: 'Does the objective divide by a weight of its own instead of returning '
       'a Mean(total, weight), or look at other rows of the batch?',
    2: 'Do gradients or statistics depend on which rows share a device, or '
       'does it draw random numbers that depend on where they are drawn?'}


def _meshes() -> list[str]:
  """Returns meshes of each axis over all devices, and products that fit."""
  count = jax.local_device_count()
  if count == 1:
    raise AssertionError(
        'assert_parallel_invariant proves nothing on one device. On a CPU, '
        "jax.config.update('jax_num_cpu_devices', 8) before JAX starts makes "
        'several.')
  # Only some models have experts, or layers that can be cut into stages.
  meshes = [f'{axis}:{count}' for axis in sharding.AXES
            if axis not in ('expert', 'stage')]
  if count % 2 == 0 and count > 2:
    half = count // 2
    meshes += [f'data:2,fsdp:{half}', f'fsdp:{half},tensor:2']
  if count % 4 == 0 and count > 4:
    meshes.append(f'data:2,fsdp:{count // 4},tensor:2')
  return meshes


def _strategy(name: str, rules: sharding.Rules, sequence: str
              ) -> strategy_lib.Strategy:
  if name == 'pmap':
    return strategy_lib.Pmap()
  sizes = sharding.parse(name)
  devices = jax.local_devices()[:int(np.prod(list(sizes.values())))]
  return mesh_lib.Mesh(devices, name, rules, sequence=sequence)


def _trained(objective, params, batches, optimizer, steps, strategy, parts):
  """Returns the parameters and losses after some updates."""
  state = strategy.place(step_lib.init_state(params, optimizer, 0))
  update = strategy.compile(functools.partial(
      step_lib.train_step, objective=objective, optimizer=optimizer), parts)
  rows = []
  for i in range(steps):
    state, metrics = update(state, strategy.shard(batches(i)))
    # On host devices that share few threads, collectives of one step could
    # otherwise wait for those of the next.
    rows.append(jax.block_until_ready(metrics['loss']))
  means = strategy.fetch(rows)
  return (jax.device_get(strategy.gather(state).params),
          [float(mean.total / mean.weight) for mean in means])
