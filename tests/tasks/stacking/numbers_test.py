"""Stacks of regressions: the weights have the least squared error."""
import numpy as np

from lmjax.tasks.stacking import numbers


def drawn(noise, count=500):
  """Returns labels, and predictions with noise of these deviations."""
  rng = np.random.default_rng(0)
  labels_N = rng.normal(size=count)
  return labels_N, [
      (labels_N + rng.normal(size=count) * each) / (1 + each**2)
      for each in noise]


def squares(parts, weights_K, labels_N):
  return np.sum((labels_N - numbers.stacked(parts, weights_K))**2)


def test_no_other_weights_are_better():
  labels_N, parts = drawn((0.5, 1.0))
  found_K = np.array(numbers.weights(parts, labels_N))
  assert found_K[0] > found_K[1] > 0

  def penalised(weights_K):
    return squares(parts, weights_K, labels_N) + np.sum((weights_K - 0.5)**2)
  for change in (0.02, 0), (-0.02, 0), (0, 0.02), (0, -0.02):
    assert penalised(found_K) < penalised(found_K + change)
  alone = [squares(parts, only, labels_N) for only in ((1, 0), (0, 1))]
  assert squares(parts, found_K, labels_N) < 0.9 * min(alone)


def test_no_weight_is_negative():
  labels_N, (good_N, _) = drawn((0.1, 1.0))
  assert numbers.weights([good_N, -3 * good_N], labels_N)[1] == 0


def test_few_examples_leave_the_weights_near_a_half():
  found_K = numbers.weights([np.array([0.1]), np.array([0.0])], np.array([0.1]))
  np.testing.assert_allclose(found_K, 0.5, atol=0.01)
