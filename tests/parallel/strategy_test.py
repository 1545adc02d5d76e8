"""Eight devices compute what one does."""
import functools

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.parallel import strategy as strategy_lib
from lmjax.training.optimizers import adam
from lmjax.training.optimizers import adamw
from lmjax.training.optimizers import sgd
from lmjax.training import step


def train(toy, strategy, microbatches=1, steps=3):
  optimizer = adamw.AdamW(learning_rate=1e-2).build(toy.params, steps)
  state = strategy.place(step.init_state(toy.params, optimizer, 0, ema=True))
  update = strategy.compile(functools.partial(
      step.train_step, objective=toy.objective, optimizer=optimizer,
      microbatches=microbatches, ema_decay=0.9))
  rows = []
  for i in range(steps):
    state, row = update(state, strategy.shard(toy.batches(i)))
    rows.append(row)
  return strategy.gather(state), strategy.fetch(rows)


@pytest.mark.slow
@pytest.mark.parametrize('microbatches', [1, 2])
def test_pmap_equals_one_device(toy, microbatches):
  one, rows = train(toy, strategy_lib.Jit())
  many, others = train(toy, strategy_lib.Pmap(), microbatches)
  for a, b in zip(jax.tree.leaves((one.params, one.ema, rows)),
                  jax.tree.leaves((many.params, many.ema, others))):
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('count, microbatches', [
    (4, 2), *(pytest.param(count, 1, marks=pytest.mark.slow)
              for count in (2, 8))])
def test_pmap_draws_the_dropout_of_one_device(toy, count, microbatches):
  def losses(strategy):
    optimizer = sgd.SGD(learning_rate=0.1).build(toy.params, 3)
    state = strategy.place(step.init_state(toy.params, optimizer, 0))
    update = strategy.compile(functools.partial(
        step.train_step, objective=toy.dropout_objective,
        optimizer=optimizer), microbatches)
    rows = []
    for i in range(3):
      state, row = update(state, strategy.shard(toy.batches(i)))
      rows.append(row['loss'])
    return [float(row.value) for row in strategy.fetch(rows)]

  want = losses(strategy_lib.Jit())
  got = losses(strategy_lib.Pmap(jax.devices()[:count]))
  np.testing.assert_allclose(got, want, rtol=1e-6)


def test_place_and_gather_are_inverse(toy):
  state = step.init_state(toy.params, adam.Adam().build(toy.params, 1), 7)
  for strategy in strategy_lib.Jit(), strategy_lib.Pmap():
    back = strategy.gather(strategy.place(state))
    assert jax.tree.structure(back) == jax.tree.structure(state)
    assert jax.random.key_data(back.rng).tolist() == [0, 7]
    np.testing.assert_array_equal(
        back.params['head']['kernel'], state.params['head']['kernel'])


def test_rows_must_divide_over_devices(toy):
  with pytest.raises(errors.InputError, match='13 rows.*8 devices.*is 16'):
    strategy_lib.Pmap().shard(toy.batches(0, rows=13))


@pytest.mark.parametrize('name', strategy_lib.PARALLEL)
def test_evaluation_survives_a_short_last_batch(toy, name):
  strategy = strategy_lib.strategy(name)

  def score(params, batch):
    return {'nll': params['head']['kernel'][0, 0] * batch['weights'],
            'row': batch['inputs'][:, 0]}

  scored = strategy.map_batches(score)
  params = strategy.place(toy.params)
  for rows in 16, 5, 1:
    batch = toy.batches(0, rows=rows)
    out = scored(params, batch)
    np.testing.assert_array_equal(out['row'], batch['inputs'][:, 0])
    np.testing.assert_allclose(
        out['nll'], float(toy.params['head']['kernel'][0, 0])
        * batch['weights'], rtol=1e-6)


def test_unknown_strategy_names_the_nearest():
  with pytest.raises(errors.InputError, match="'pmpa'.*'pmap'"):
    strategy_lib.strategy('pmpa')
