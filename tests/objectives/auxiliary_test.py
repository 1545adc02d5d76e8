"""What layers sow is added and reported by what rows weigh."""
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import metrics
from lmjax.objectives import auxiliary

WEIGHTS = np.asarray([[1.0, 1.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.0]])


class Layer(nn.Module):
  """Doubles, and says something of each row."""
  scale: float

  @nn.compact
  def __call__(self, x):
    rate = self.param('rate', nn.initializers.ones, ())
    self.sow('losses', 'any', rate * self.scale * x[:, 0])
    self.sow('metrics', 'seen', self.scale * x[:, 0])
    return 2 * x


class Model(nn.Module):
  """Two layers."""

  @nn.compact
  def __call__(self, x):
    return Layer(10.0, name='second')(Layer(1.0, name='first')(x))


X = np.asarray([[1.0], [2.0], [np.nan]], np.float32)  # A row that counts not.
PARAMS = Model().init(jax.random.key(0), X)['params']
MEANS = {'loss': metrics.Mean(jnp.float32(5.0), jnp.float32(2.5)),
         'nll': metrics.Mean(jnp.float32(5.0), jnp.float32(2.5))}


def test_losses_are_summed_and_metrics_averaged_over_layers():
  out, sown = auxiliary.apply(Model(), PARAMS, X)
  np.testing.assert_array_equal(out, 4 * X)
  got = auxiliary.add(MEANS, sown, WEIGHTS)
  # A row x gives x + 10 * 2 x; the rows weigh 2, 0.5 and 0.
  assert float(got['loss'].total) == 5 + 2 * 21 * 1 + 0.5 * 21 * 2
  assert float(got['loss'].weight) == 2.5
  assert float(got['seen'].total) == (2 * 21 * 1 + 0.5 * 21 * 2) / 2
  assert float(got['seen'].weight) == 2.5
  assert got['nll'] == MEANS['nll']


def test_a_gradient_flows_into_the_layers():
  def total(params):
    _, sown = auxiliary.apply(Model(), params, X[:2])
    return auxiliary.add(MEANS, sown, WEIGHTS[:2])['loss'].total
  gradient = jax.grad(total)(PARAMS)
  assert float(gradient['first']['rate']) == 2 * 1 + 0.5 * 2
  assert float(gradient['second']['rate']) == 20 * (2 * 1 + 0.5 * 2)


def test_without_sown_values_means_are_unchanged():
  model = nn.Dense(2)
  params = model.init(jax.random.key(0), X)['params']
  out, sown = auxiliary.apply(model, params, X)
  assert not sown
  np.testing.assert_array_equal(out, model.apply({'params': params}, X))
  assert auxiliary.add(MEANS, sown, WEIGHTS) == MEANS
