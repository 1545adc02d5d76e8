"""Cross-entropy against float64 at a real vocabulary size."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.objectives import losses

V = 50_257
cross_entropy = jax.jit(losses.cross_entropy)


def float64(logits, targets):
  logits = np.asarray(logits, np.float64)
  top = logits.max(-1)
  log_normalizer = top + np.log(np.exp(logits - top[..., None]).sum(-1))
  picked = np.take_along_axis(logits, targets[..., None], -1)[..., 0]
  return log_normalizer - picked, log_normalizer


@pytest.mark.parametrize('scale, shift', [(1.0, 0.0), (8.0, 0.0), (1.0, 300.0)])
def test_cross_entropy_is_that_of_float64(scale, shift):
  rng = np.random.default_rng(0)
  logits = (scale * rng.normal(size=(2, 4, V)) + shift).astype(np.float32)
  targets = rng.integers(0, V, (2, 4))
  nll, log_normalizer = cross_entropy(logits, targets)
  want_nll, want_normalizer = float64(logits, targets)
  rtol = 1e-6 if not shift else 1e-5  # Float32 logits of 300 have 3e-5 steps.
  np.testing.assert_allclose(nll, want_nll, rtol=rtol)
  np.testing.assert_allclose(log_normalizer, want_normalizer, rtol=1e-6)


def test_half_precision_logits_are_widened_first():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(1, 4, V)).astype(jnp.bfloat16)
  targets = rng.integers(0, V, (1, 4))
  nll, _ = cross_entropy(logits, targets)
  np.testing.assert_allclose(nll, float64(logits, targets)[0], rtol=1e-6)
  program = str(jax.make_jaxpr(losses.cross_entropy)(logits, targets))
  for line in program.splitlines():
    if any(f' {name} ' in line for name in ('exp', 'log', 'reduce_max')) or (
        'reduce_sum' in line):
      assert 'bf16' not in line, line


def test_extreme_logits_stay_finite():
  nll, _ = cross_entropy(
      np.float32([[[1e30, -1e30, 0.0]]]), np.array([[0]]))
  assert float(nll[0, 0]) == 0.0


@pytest.mark.parametrize('wrong', [5, 100, -1, -100])
def test_a_target_out_of_range_is_nan(wrong):
  nll, log_normalizer = jax.device_get(cross_entropy(
      np.zeros((1, 2, 5), np.float32), np.array([[4, wrong]])))
  assert np.isfinite(nll[0, 0]) and np.isnan(nll[0, 1])
  assert np.all(np.isfinite(log_normalizer))


def test_the_gradient_is_softmax_minus_one_hot():
  logits = np.random.default_rng(0).normal(size=(1, 3, 7)).astype(np.float32)
  targets = np.array([[1, 0, 6]])
  got = jax.jit(jax.grad(
      lambda x: losses.cross_entropy(x, targets)[0].sum()))(logits)
  softmax = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  np.testing.assert_allclose(got, softmax - np.eye(7)[targets], atol=1e-6)


@pytest.mark.parametrize('amount', [0.0, 0.1, 0.9])
def test_smoothing_mixes_the_target_with_the_uniform(amount):
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(2, 3, 11)).astype(np.float32)
  targets = rng.integers(0, 11, (2, 3))
  nll, log_normalizer = cross_entropy(logits, targets)
  soft = (1 - amount) * np.eye(11)[targets] + amount / 11
  log_probs = np.asarray(logits, np.float64) - float64(
      logits, targets)[1][..., None]
  np.testing.assert_allclose(
      jax.jit(losses.smoothed, static_argnums=3)(
          nll, logits, log_normalizer, amount),
      -(soft * log_probs).sum(-1), rtol=1e-5)


def test_shapes_that_disagree_are_refused():
  with pytest.raises(ValueError, match='targets_BT has T=4'):
    losses.cross_entropy(jnp.zeros((2, 3, 5)), jnp.zeros((2, 4), jnp.int32))


def test_the_target_is_best_where_no_class_is_more_probable():
  is_best = jax.jit(losses.is_best)
  logits = np.float32([[[1, 3, 2], [2, 2, 1], [0, -1, 5]]])
  for target, best in (0, [0, 1, 0]), (1, [1, 1, 0]), (2, [0, 0, 1]):
    found = np.asarray(is_best(logits, np.full((1, 3), target)))
    assert found.astype(int).tolist() == [best]
  assert not is_best(np.full((1, 2), np.float32('nan')), np.array([0]))[0]


def test_targets_that_are_no_integers_are_refused():
  with pytest.raises(errors.InputError, match='targets should be ids'):
    losses.cross_entropy(jnp.zeros((1, 2, 3)), jnp.zeros((1, 2)))


def test_weights_of_one_axis_are_refused():
  with pytest.raises(ValueError, match=r'weights_BT should have 2 axes \(BT\)'):
    losses.token_means(
        jnp.zeros((1, 2, 3)), jnp.zeros((1, 2), int), jnp.ones(1))
