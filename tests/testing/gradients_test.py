"""Every form of a loss gives the same sums."""
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import metrics
from lmjax.testing import gradients

BATCH = {'x': np.array([1., 2., 4.], np.float32),
         'weights': np.array([1., 2., 0.], np.float32)}
FORMS = {
    'objective': lambda mean: {'loss': mean, 'nll': None},
    'mean': lambda mean: mean,
    'pair': lambda mean: (mean.total, mean.weight),
    'scalar': lambda mean: mean.total / mean.weight,
}


@pytest.mark.parametrize('form', FORMS)
def test_every_form_gives_the_same_sums_and_gradient(form):
  def loss(params, batch):
    return FORMS[form](metrics.Mean.of(params * batch['x'], batch['weights']))
  got = gradients.with_gradient(loss)(jnp.asarray(3.0), BATCH)
  assert got == {'total': 15.0, 'weight': 3.0, 'gradient': 5.0}


def test_nan_in_the_gradient_alone_is_an_error():
  def loss(params, batch):  # The gradient of sqrt at 0 is infinite.
    return jnp.sum(jnp.sqrt(params) * batch['x']), 1.0
  with pytest.raises(AssertionError, match='gradient is not finite'):
    gradients.with_gradient(loss)(jnp.asarray(0.0), BATCH)


def test_a_zero_gradient_proves_nothing():
  gradients.alive('x', {'gradient': {'a': np.zeros(2), 'b': np.ones(1)}})
  with pytest.raises(AssertionError, match='x proves nothing'):
    gradients.alive('x', {'gradient': {'a': np.zeros(2)}})
