"""The check passes what is right, and names what is not."""
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import metrics
from lmjax.testing import parallel

PARAMS = {'embed': {'embedding': jnp.linspace(-1, 1, 32).reshape(8, 4)}}


def batches(step):
  draw = np.random.default_rng(step)
  return {'inputs': draw.integers(0, 8, (16, 5)).astype(np.int32),
          'weights': (np.arange(5) < draw.integers(0, 6, (16, 1))).astype(
              np.float32)}


def nll(params, batch):
  table = params['embed']['embedding']
  logits_BTV = table[batch['inputs']] @ table.T
  return -jax.nn.log_softmax(logits_BTV)[..., 0]


def right(params, batch, rng=None):
  noise = jax.random.uniform(rng, batch['weights'].shape)
  return {'loss': metrics.Mean.of(
      nll(params, batch) * (1 + noise), batch['weights'])}


@pytest.mark.slow
def test_a_right_objective_passes_on_every_mesh():
  parallel.assert_parallel_invariant(
      right, PARAMS, batches, steps=2, microbatches=1,
      over=['data:8', 'data:2,fsdp:2,tensor:2'])


def test_a_mean_of_means_is_found_under_pmap():
  def wrong(params, batch, rng=None):
    weights = batch['weights']
    mean = jnp.sum(nll(params, batch) * weights) / jnp.maximum(
        jnp.sum(weights), 1)
    return {'loss': metrics.Mean(mean, jnp.float32(1))}

  with pytest.raises(AssertionError, match='pmap the loss of step 1.*Mean'):
    parallel.assert_parallel_invariant(
        wrong, PARAMS, batches, steps=1, over=['pmap'])


def test_an_update_that_differs_is_found_in_the_parameter():
  def wrong(params, batch, rng=None):  # Only its gradient knows the rows.
    table = params['embed']['embedding']
    rows = batch['weights'].shape[0]
    ghost = jnp.sum(table * rows) - jax.lax.stop_gradient(
        jnp.sum(table * rows))
    loss = metrics.Mean.of(nll(params, batch), batch['weights'])
    return {'loss': metrics.Mean(loss.total + ghost * rows, loss.weight)}

  with pytest.raises(AssertionError, match='parameter embed/embedding'):
    parallel.assert_parallel_invariant(
        wrong, PARAMS, batches, steps=1, over=['pmap'],
        optimizer=optax.sgd(0.1))


def test_full_rows_prove_nothing():
  with pytest.raises(AssertionError, match='all rows count the same'):
    parallel.assert_parallel_invariant(
        right, PARAMS, lambda step: {'weights': np.ones((8, 2))})


def test_one_device_proves_nothing(monkeypatch):
  monkeypatch.setattr(jax, 'local_device_count', lambda: 1)
  with pytest.raises(AssertionError, match='on one device'):
    parallel.assert_parallel_invariant(right, PARAMS, batches, steps=1)


def test_meshes_by_default_are_every_axis_and_products():
  meshes = parallel._meshes()
  assert meshes[:4] == ['data:8', 'fsdp:8', 'sequence:8', 'tensor:8']
  assert 'data:2,fsdp:2,tensor:2' in meshes
