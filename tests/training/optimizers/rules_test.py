"""Rules choose parameters by path."""
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.training.optimizers import rules


def test_decay_takes_kernels_and_embeddings_only(toy):
  optimizer = rules.decay(toy.params, 0.1, rules.DECAY)
  zeros = jax.tree.map(jnp.zeros_like, toy.params)
  updates, _ = optimizer.update(zeros, optimizer.init(toy.params), toy.params)
  for path, update in trees.items(updates):
    param = dict(trees.items(toy.params))[path]
    decays = path.endswith(('kernel', 'embedding'))
    np.testing.assert_allclose(update, 0.1 * param if decays else 0 * param)


def test_multipliers_scale_the_decay(toy):
  optimizer = rules.decay(
      toy.params, 0.1, (('head', 2.0), ('^embed/', 0.5), ('.*', 0.0)))
  ones = jax.tree.map(jnp.ones_like, toy.params)
  updates, _ = optimizer.update(
      jax.tree.map(jnp.zeros_like, ones), optax.EmptyState(), ones)
  assert float(updates['head']['kernel'][0, 0]) == pytest.approx(0.2)
  assert float(updates['embed']['embedding'][0, 0]) == pytest.approx(0.05)
  assert float(updates['layers']['norm']['scale'][0, 0]) == 0


def test_uncovered_parameters_and_idle_patterns_are_refused(toy):
  with pytest.raises(errors.InputError, match='No rule covers'):
    rules.decay(toy.params, 0.1, (('kernel', 1.0),))
  with pytest.raises(errors.InputError, match='hed/kernel'):
    rules.frozen(toy.params, ('hed/kernel',))


def test_frozen_parameters_stay_the_same_bit_for_bit():
  params = {'a': jnp.array([-0.0, 0.0, 1e-37, jnp.nan]), 'b': jnp.ones(1)}
  optimizer = rules.train_only_unfrozen(optax.sgd(1.0), params, ('^a',))
  grads = jax.tree.map(jnp.ones_like, params)
  updates, _ = optimizer.update(grads, optimizer.init(params), params)
  after = optax.apply_updates(params, updates)
  assert np.asarray(after['a']).tobytes() == np.asarray(params['a']).tobytes()
  assert float(after['b'][0]) == 0


def test_freezing_everything_is_refused(toy):
  with pytest.raises(errors.InputError, match='leaves nothing to train'):
    rules.frozen(toy.params, ('.*',))


def test_objective_without_gradient(toy):
  held = rules.without_gradient(toy.objective, ('^embed', 'layers'))
  batch = toy.batches(0)

  def gradient(objective):
    return jax.jit(jax.grad(lambda p: objective(p, batch)['loss'].total))(
        toy.params)

  grads, whole = gradient(held), gradient(toy.objective)
  assert not np.any(grads['embed']['embedding'])
  np.testing.assert_array_equal(
      grads['head']['kernel'], whole['head']['kernel'])
  assert rules.without_gradient(toy.objective, ()) is toy.objective
