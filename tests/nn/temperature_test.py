"""Scaled logits have the softmax of the division, and never overflow."""
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.nn import temperature

LOGITS_BV = (3 * np.random.default_rng(0).standard_normal((4, 33))).astype(
    np.float32)


@pytest.mark.parametrize('value', [0.3, 0.8, 1.0, 3.0, 1e4])
def test_softmax_is_that_of_the_division(value):
  weights_BV = np.exp(np.float64(LOGITS_BV) / value)
  np.testing.assert_allclose(
      jax.nn.softmax(temperature.scaled(LOGITS_BV, value)),
      weights_BV / weights_BV.sum(-1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_extremes_are_never_nan_and_keep_the_best_at_zero(dtype):
  @jax.jit
  def both(logits_V, value):
    return (temperature.scaled(logits_V, value),
            jax.nn.softmax(temperature.scaled(logits_V, value)))
  scales = [1e-30, 1e-3, 1.0, 1e30, 3e38]
  temperatures = [1e-45, 1e-39, 1e-20, 1e-3, 1.0, 1e30, 3e38]
  for scale, value in itertools.product(scales, temperatures):
    logits_V = jnp.asarray([-scale, scale, 0.0, -np.inf], dtype)
    out_V, p_V = both(logits_V, value)
    assert not np.isnan(out_V).any() and not np.isnan(p_V).any(), (scale, value)
    assert out_V[1] == 0 and out_V[3] == -np.inf and p_V[3] == 0
    assert out_V[0] <= out_V[2] <= 0
    if value <= 1e-20 and scale >= 1e-3:
      assert p_V.tolist() == [0, 1, 0, 0]


def test_a_gradient_flows_as_through_the_division():
  def loss(scaled, logits_BV):
    return jnp.sum(jax.nn.log_softmax(scaled(logits_BV, 0.7))[:, 3])
  got_BV = jax.grad(lambda x: loss(temperature.scaled, x))(LOGITS_BV)
  want_BV = jax.grad(lambda x: loss(lambda x, t: x / t, x))(LOGITS_BV)
  np.testing.assert_allclose(got_BV, want_BV, atol=1e-6)
