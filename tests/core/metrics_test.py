"""Means merge exactly, in any grouping."""
import math

import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import metrics

Mean = metrics.Mean


def test_weights_select_and_weigh():
  mean = Mean.of(jnp.array([1.0, 5.0, 100.0]), jnp.array([3.0, 1.0, 0.0]))
  assert float(mean.total) == 8.0
  assert float(mean.weight) == 4.0
  assert mean.value == 2.0


def test_what_has_weight_0_may_be_nan():
  mean = Mean.of(jnp.array([2.0, jnp.nan, jnp.inf]), jnp.array([1.0, 0.0, 0.0]))
  assert mean.value == 2.0


def test_nan_that_counts_is_not_hidden():
  assert math.isnan(Mean.of(jnp.array([2.0, jnp.nan])).value)


def test_a_value_of_weight_0_has_no_gradient():
  def total(x):
    return Mean.of(jnp.sqrt(x), jnp.array([1.0, 0.0])).total
  np.testing.assert_array_equal(
      jax.grad(total)(jnp.array([4.0, 9.0])), [0.25, 0.0])


def test_a_scalar_weight_applies_to_every_value():
  mean = Mean.of(jnp.ones((2, 3)), 2.0)
  assert (float(mean.total), float(mean.weight)) == (12.0, 12.0)


def test_bfloat16_is_summed_in_float32():
  mean = Mean.of(jnp.full(4096, 1.0, jnp.bfloat16))
  assert mean.total.dtype == jnp.float32
  assert float(mean.total) == 4096.0


def test_merging_is_associative_for_uneven_parts():
  rng = np.random.default_rng(0)
  values = rng.integers(0, 100, 12).astype(np.float32)  # Exact in float32.
  weights = rng.integers(0, 3, 12).astype(np.float32)
  a, b, c = (Mean.of(values[s], weights[s]) for s in (
      slice(0, 1), slice(1, 5), slice(5, 12)))
  left, right = a.merge(b).merge(c), a.merge(b.merge(c))
  assert left.value == right.value == Mean.of(values, weights).value
  assert left.value != np.mean([a.value, b.value, c.value])


def test_a_mean_without_weight_is_nan():
  assert math.isnan(Mean.of(jnp.ones(3), jnp.zeros(3)).value)


def test_merge_adds_key_by_key_in_float64():
  big = {'nll': Mean(np.float32(2**24), np.float32(1))}
  one = {'nll': Mean(np.float32(1), np.float32(1)), 'acc': Mean(1.0, 2.0)}
  merged = metrics.merge([big] + [one] * 4)
  assert merged['nll'].total == 2**24 + 4  # Float32 would stay at 2 ** 24.
  assert merged['acc'].value == 0.5
  assert metrics.merge([]) == {}


def test_means_pass_through_jit_as_trees():
  mean = jax.jit(lambda x: Mean.of(x))(jnp.arange(4.0))
  assert mean.value == 1.5
