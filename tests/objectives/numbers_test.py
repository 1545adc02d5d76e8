"""Squared error against plain arithmetic, with rows left out."""
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.objectives import numbers


class Linear(nn.Module):
  """A linear map of how many tokens a row has."""

  @nn.compact
  def __call__(self, inputs_BT, positions_BT, segments_BT, *, train=False):
    del inputs_BT, positions_BT, train
    size_B1 = jnp.sum(segments_BT > 0, axis=1, keepdims=True)
    return nn.Dense(1, name='number')(size_B1.astype(jnp.float32))


BATCH = {
    'inputs': np.zeros((3, 2), np.int32),
    'positions': np.zeros((3, 2), np.int32),
    'segments': np.array([[1, 1], [1, 0], [0, 0]], np.int32),
    'labels': np.array([1.5, -2.0, 9.0], np.float32),
    'weights': np.array([1, 1, 0], np.float32)}
PARAMS = {'number': {'kernel': jnp.array([[0.5]]), 'bias': jnp.array([0.25])}}


@pytest.mark.slow
def test_loss_is_the_mean_squared_error_of_the_rows_that_count():
  objective = numbers.SquaredError().build(Linear())
  assert numbers.predictions(Linear(), PARAMS, BATCH).tolist() == [
      1.25, 0.75, 0.25]
  loss = objective(PARAMS, BATCH)['loss']
  assert loss.value == pytest.approx((0.25**2 + 2.75**2) / 2)
  grads = jax.grad(lambda p: objective(p, BATCH)['loss'].total)(PARAMS)
  assert grads['number']['bias'].tolist() == [2 * (-0.25 + 2.75)]
