"""An update does not depend on how its tokens are distributed."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import draws
from lmjax.core import errors
from lmjax.core import metrics
from lmjax.training import step


def take(toy, batch, objective=None, ema=False, **kwargs):
  optimizer = optax.sgd(1.0)  # The update is the gradient.
  state = step.init_state(toy.params, optimizer, 0, ema=ema)
  return jax.jit(functools.partial(
      step.train_step, objective=objective or toy.objective,
      optimizer=optimizer, **kwargs))(state, batch)


def close(a, b, tolerance=1e-6):
  jax.tree.map(lambda x, y: np.testing.assert_allclose(
      x, y, rtol=tolerance, atol=tolerance), a, b)


def test_update_is_the_gradient_of_the_mean_over_tokens(toy):
  batch = toy.batches(0)

  def mean(params):
    loss = toy.objective(params, batch)['loss']
    return loss.total / loss.weight

  state, row = take(toy, batch)
  gradient = jax.device_get(jax.jit(jax.grad(mean))(toy.params))
  expected = jax.tree.map(lambda p, g: p - g, toy.params, gradient)
  close(state.params, expected)
  norm = np.sqrt(sum(np.sum(leaf**2) for leaf in jax.tree.leaves(gradient)))
  assert row['grad_norm'].value == pytest.approx(float(norm), rel=1e-5)
  assert row['tokens'].value == batch['weights'].sum()
  assert int(state.step) == 1


@pytest.mark.parametrize('microbatches', [2, 8])
def test_microbatches_of_uneven_weight_are_one_batch(toy, microbatches):
  whole, row = take(toy, toy.batches(0))
  parts, other = take(toy, toy.batches(0), microbatches=microbatches)
  close(whole.params, parts.params)
  close(row, other)


@pytest.mark.slow
def test_microbatches_drop_what_the_batch_drops(toy):
  def objective(params, batch, rng=None):
    keep = draws.bernoulli(rng, 0.5, batch['weights'].shape)
    return toy.objective(
        params, batch | {'weights': batch['weights'] * keep}, rng)

  whole, row = take(toy, toy.batches(0), objective)
  for microbatches in 2, 4:
    parts, other = take(toy, toy.batches(0), objective,
                        microbatches=microbatches)
    close(whole.params, parts.params)
    close(row, other)
  assert row['tokens'].value < take(toy, toy.batches(0))[1]['tokens'].value


def test_each_step_draws_its_own_dropout(toy):
  optimizer = optax.sgd(0.0)  # The parameters stay, so only the key differs.
  state = step.init_state(toy.params, optimizer, 0)
  update = functools.partial(
      step.train_step, objective=toy.dropout_objective, optimizer=optimizer)
  state, first = jax.jit(update)(state, toy.batches(0))
  _, second = jax.jit(update)(state, toy.batches(0))
  assert first['loss'].value != second['loss'].value


def test_padding_alone_changes_nothing(toy):
  batch = toy.batches(0)
  batch['weights'][:] = 0
  state, row = take(toy, batch)
  close(state.params, toy.params, 0)
  assert np.isnan(row['loss'].value)


def test_rows_must_divide_into_microbatches(toy):
  with pytest.raises(errors.InputError, match=r'16 rows.*3.*\[1, 2, 4, 8, 16'):
    take(toy, toy.batches(0), microbatches=3)


def test_average_follows_the_parameters(toy):
  state, _ = take(toy, toy.batches(0), ema=True, ema_decay=0.75)
  close(state.ema, jax.tree.map(
      lambda old, new: 0.75 * old + 0.25 * new, toy.params, state.params))


def test_small_gradients_add_up_in_float32():
  # In bfloat16 a sum of 512 ones stalls at 256.
  def objective(params, batch, rng=None):
    del rng
    return {'loss': metrics.Mean.of(params['w'] * batch['x'], 1.0)}

  optimizer = optax.sgd(1.0)
  state = step.init_state({'w': jnp.zeros((), jnp.bfloat16)}, optimizer, 0)
  state, _ = step.train_step(
      state, {'x': jnp.ones((512,), jnp.bfloat16)}, objective=objective,
      optimizer=optimizer, microbatches=512)
  assert float(state.params['w']) == -1.0


def test_state_has_its_own_memory(toy):
  state = step.init_state(toy.params, optax.sgd(1.0), 0, ema=True)
  leaves = zip(*map(jax.tree.leaves, (toy.params, state.params, state.ema)))
  for shared in leaves:
    assert len({x.unsafe_buffer_pointer() for x in shared}) == 3


def test_untyped_key_is_refused(toy):
  with pytest.raises(errors.InputError, match='typed key'):
    step.init_state(toy.params, optax.sgd(1.0), jax.random.PRNGKey(0))
