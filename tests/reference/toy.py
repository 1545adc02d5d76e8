"""A toy problem: what training needs to know about a model, and no more."""
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import draws
from lmjax.core import metrics


def _params():
  keys = jax.random.split(jax.random.key(1), 5)
  def draw(key, *shape):
    return 0.3 * jax.random.normal(key, shape)
  return {
      'embed': {'embedding': draw(keys[0], 11, 8)},
      'layers': {  # Two scanned layers: biases and scales have rank 2.
          'dense': {'kernel': draw(keys[1], 2, 8, 8),
                    'bias': draw(keys[2], 2, 8)},
          'norm': {'scale': jnp.ones((2, 8))}},
      'head': {'kernel': draw(keys[3], 8, 11)},
  }


def _objective(params, batch, rng=None, dropout=0.0):
  x_BTD = params['embed']['embedding'][batch['inputs']]
  layers = params['layers']
  for i in range(2):
    h_BTD = jnp.tanh(
        x_BTD @ layers['dense']['kernel'][i]
        + layers['dense']['bias'][i][None, None])
    x_BTD += h_BTD * layers['norm']['scale'][i][None, None]
  if rng is not None and dropout:
    keep = draws.bernoulli(rng, 1 - dropout, x_BTD.shape)
    x_BTD = jnp.where(keep, x_BTD / (1 - dropout), 0.0)
  logits_BTV = x_BTD @ params['head']['kernel']
  nll_BT = -jnp.take_along_axis(
      jax.nn.log_softmax(logits_BTV), batch['targets'][..., None], -1)[..., 0]
  return {'loss': metrics.Mean.of(nll_BT, batch['weights'])}


def _dropout_objective(params, batch, rng=None):
  return _objective(params, batch, rng, dropout=0.5)


def _batches(step, rows=16, length=6):
  draw = np.random.default_rng(step)
  inputs = draw.integers(0, 11, (rows, length)).astype(np.int32)
  lengths = draw.integers(0, length + 1, (rows, 1))  # Ragged; some are empty.
  return {'inputs': inputs, 'targets': (3 * inputs + 1) % 11,
          'weights': (np.arange(length) < lengths).astype(np.float32)}


@pytest.fixture
def toy():
  """Parameters, objectives and batches of a tiny next-token problem."""
  return types.SimpleNamespace(
      params=_params(), objective=_objective, batches=_batches,
      dropout_objective=_dropout_objective)
