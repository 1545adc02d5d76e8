"""An optimizer state kept on the host gives the same updates."""
import functools
import types

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.parallel import mesh
from lmjax.parallel import offload
from lmjax.parallel import strategy as strategy_lib
from lmjax.training.optimizers import adamw
from lmjax.training import step


def train(toy, strategy, steps=3):
  optimizer = adamw.AdamW(learning_rate=1e-2).build(toy.params, 50)
  state = strategy.place(step.init_state(toy.params, optimizer, 0))
  update = strategy.compile(functools.partial(
      step.train_step, objective=toy.objective, optimizer=optimizer))
  for i in range(steps):
    state, _ = update(state, strategy.shard(toy.batches(i)))
  return state


def memories(tree):
  return {leaf.sharding.memory_kind for leaf in jax.tree.leaves(tree)}


@pytest.mark.slow
@pytest.mark.parametrize('make', [
    strategy_lib.Jit, functools.partial(mesh.Mesh, sizes='data:2,fsdp:2,tensor:2')],
                         ids=['jit', 'mesh'])
def test_updates_are_the_same_with_moments_on_the_host(toy, make):
  near, far = train(toy, make()), train(toy, make(offload=True))
  assert memories(far.opt_state) == {offload.MEMORY}
  assert offload.MEMORY not in memories(far.params)
  assert offload.MEMORY not in memories(near)
  strategy = make(offload=True)
  assert not strategy.drifted(far)
  gathered = strategy.gather(far)
  if isinstance(strategy, strategy_lib.Jit):
    assert offload.MEMORY not in memories(gathered)
  jax.tree.map(np.testing.assert_array_equal, gathered.params,
               make().gather(near).params)
  jax.tree.map(np.testing.assert_array_equal, gathered.opt_state,
               make().gather(near).opt_state)


def test_parameters_alone_stay_on_the_device(toy):
  strategy = mesh.Mesh(sizes='fsdp:8', offload=True)
  assert offload.MEMORY not in memories(strategy.place(toy.params))


def test_devices_without_such_memory_are_refused():
  device = types.SimpleNamespace(
      device_kind='toaster',
      addressable_memories=lambda: [types.SimpleNamespace(kind='crumbs')])
  with pytest.raises(errors.InputError, match='toaster has only crumbs.*=none'):
    offload.check([device])


@pytest.mark.slow
def test_it_is_chosen_by_name_and_refused_under_pmap(toy):
  strategy = strategy_lib.strategy('mesh', 'fsdp:8', 'optimizer')
  assert memories(train(toy, strategy, 1).opt_state) == {offload.MEMORY}
  with pytest.raises(errors.InputError, match='--mesh=data:8'):
    strategy_lib.strategy('pmap', None, 'optimizer')
