"""A mesh of any shape equals one device, and each device holds its part."""
import functools

import jax
import numpy as np
import pytest

from lmjax.checkpoints import store
from lmjax.core import errors
from lmjax.core import placement
from lmjax.parallel import mesh as mesh_lib
from lmjax.parallel import strategy as strategy_lib
from lmjax.training.optimizers import adamw
from lmjax.training import step

ADAMW = adamw.AdamW(learning_rate=1e-2)


def train(toy, strategy, steps=3, state=None, first=0, objective=None,
          **options):
  optimizer = ADAMW.build(toy.params, 50)
  state = strategy.place(state or step.init_state(toy.params, optimizer, 0))
  update = strategy.compile(functools.partial(
      step.train_step, objective=objective or toy.objective,
      optimizer=optimizer, **options))
  rows = []
  for i in range(first, first + steps):
    state, row = update(state, strategy.shard(toy.batches(i)))
    rows.append(row)
  return state, strategy.fetch(rows)


def losses(rows):
  return np.array([row['loss'].total / row['loss'].weight for row in rows])


@pytest.fixture(scope='module')
def one(request):
  """The result of one device, once for all."""
  found = {}

  def run(toy, **options):
    key = tuple(sorted((k, str(v)) for k, v in options.items()))
    if key not in found:
      state, rows = train(toy, strategy_lib.Jit(), **options)
      found[key] = jax.device_get(state.params), rows
    return found[key]
  return run


@pytest.mark.parametrize('sizes, microbatches', [
    pytest.param('data:8', 1, marks=pytest.mark.slow), ('fsdp:8', 1),
    ('data:2,fsdp:2,tensor:2', 2)])
def test_equals_one_device(toy, one, sizes, microbatches):
  want, want_rows = one(toy)
  strategy = mesh_lib.Mesh(sizes=sizes)
  state, rows = train(toy, strategy, microbatches=microbatches)
  np.testing.assert_allclose(losses(rows), losses(want_rows), rtol=1e-5)
  jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-4, rtol=0),
               strategy.gather(state).params, want)
  assert not strategy.drifted(state)


@pytest.mark.slow
def test_dropout_draws_the_same_on_any_mesh(toy, one):
  assert jax.config.jax_threefry_partitionable
  options = dict(objective=toy.dropout_objective, steps=1)
  _, want = one(toy, **options)
  _, rows = train(toy, mesh_lib.Mesh(sizes='data:2,fsdp:4'), **options)
  np.testing.assert_allclose(losses(rows), losses(want), rtol=1e-6)
  _, without = one(toy, steps=1)
  assert abs(losses(without) - losses(want))[0] > 1e-2


def test_each_device_holds_its_part_of_parameters_and_moments(toy):
  strategy = mesh_lib.Mesh(sizes='data:2,fsdp:4')
  state, _ = train(toy, strategy, steps=1)
  parts = {name: {shard.data.shape for shard in leaf.addressable_shards}
           for name, leaf in (
               ('kernel', state.params['head']['kernel']),
               ('stacked', state.params['layers']['dense']['kernel']),
               ('moment', state.opt_state[1][0].mu['head']['kernel']),
               ('bias', state.params['layers']['dense']['bias']))}
  assert parts == {'kernel': {(2, 11)}, 'stacked': {(2, 2, 8)},
                   'moment': {(2, 11)}, 'bias': {(2, 8)}}


def test_a_batch_comes_divided_by_rows_and_tokens():
  strategy = mesh_lib.Mesh(sizes='data:2,sequence:4')
  batch = strategy.shard({
      'inputs': np.zeros((4, 8)), 'odd': np.zeros((4, 6)),
      'label': np.zeros(4), 'vectors': np.zeros((4, 8, 3))})
  parts = {name: x.addressable_data(0).shape for name, x in batch.items()}
  assert parts == {
      'inputs': (2, 2), 'odd': (2, 6), 'label': (2,), 'vectors': (2, 2, 3)}


def test_microbatches_pass_through_stages_at_once(toy):
  seen = []

  def step_of(state, batch, microbatches=1):
    seen.append((microbatches, placement.current().microbatches))
    return state, batch

  for sizes in 'data:8', 'stage:8':
    mesh_lib.Mesh(sizes=sizes).compile(step_of, 4).lower(
        toy.params, {'loss': np.zeros(8)})
  assert seen == [(4, 1), (1, 4)]


def test_place_and_gather_are_inverse_and_on_the_host(toy):
  state = step.init_state(toy.params, ADAMW.build(toy.params, 1), 7)
  strategy = mesh_lib.Mesh()
  back = strategy.gather(strategy.place(state))
  assert jax.tree.structure(back) == jax.tree.structure(state)
  assert jax.random.key_data(back.rng).tolist() == [0, 7]
  jax.tree.map(np.testing.assert_array_equal, back.params, state.params)
  assert isinstance(back.params['head']['kernel'], np.ndarray)


@pytest.mark.slow
def test_a_checkpoint_continues_on_any_other_mesh(toy, tmp_path):
  state, _ = train(toy, mesh_lib.Mesh(jax.devices()[:4], 'data:4'), steps=2)
  saved = mesh_lib.Mesh(jax.devices()[:4], 'data:4').gather(state)
  with store.Checkpoints(tmp_path) as kept:
    kept.save(2, saved)
  with store.Checkpoints(tmp_path) as kept:
    target = step.init_state(toy.params, ADAMW.build(toy.params, 50), 0)
    found = kept.restore_latest(target).state
  seen = []
  for strategy in (strategy_lib.Jit(),
                   mesh_lib.Mesh(jax.devices()[:4], 'fsdp:2,tensor:2')):
    placed = strategy.gather(strategy.place(found))
    jax.tree.map(np.testing.assert_array_equal, placed.params, saved.params)
    _, rows = train(toy, strategy, 2, found, first=2)
    seen.append(losses(rows))
    found = saved  # The step consumed it.
  np.testing.assert_allclose(seen[1], seen[0], rtol=1e-5)


def test_a_device_that_drifts_is_named(toy):
  strategy = mesh_lib.Mesh(sizes='data:2,fsdp:4')
  placed = strategy.place(toy.params)
  kernel = placed['head']['kernel']
  shards = [np.array(shard.data) for shard in kernel.addressable_shards]
  shards[5][0, 0] += 1e-6
  placed['head']['kernel'] = jax.make_array_from_single_device_arrays(
      kernel.shape, kernel.sharding,
      [jax.device_put(x, shard.device)
       for x, shard in zip(shards, kernel.addressable_shards)])
  assert strategy.drifted(placed) == ['head/kernel on cpu:5']


@pytest.mark.parametrize('sizes, says', [
    ('data:4', 'data:4 has 4 devices.*are 8.*--mesh=data:8[.]'),
    ('fsdp:3,tensor:2', '6 devices.*are 8.*--mesh=fsdp:4,tensor:2[.]'),
    ('data:2,model:4', "'model'")])
def test_sizes_that_do_not_fit_are_refused(sizes, says):
  with pytest.raises(errors.InputError, match=says):
    mesh_lib.Mesh(sizes=sizes)


def test_rows_that_do_not_divide_are_refused(toy):
  with pytest.raises(errors.InputError, match='13 rows.*4 devices.*is 12'):
    mesh_lib.Mesh(sizes='data:2,fsdp:2,tensor:2').shard(
        toy.batches(0, rows=13))


@pytest.mark.slow
@pytest.mark.filterwarnings('error')
def test_it_calls_nothing_deprecated(toy):
  strategy = mesh_lib.Mesh(sizes='data:2,fsdp:2,tensor:2')
  state, _ = train(toy, strategy, steps=1)
  strategy.drifted(state)
  strategy.map_batches(lambda params, batch: batch['weights'])(
      state.params, toy.batches(0))
