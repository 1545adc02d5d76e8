"""Stacks: the weights are at the maximum, and say who is worth listening to."""
import numpy as np
import pytest

from lmjax.tasks.stacking import classes as stacking


def drawn(count=400, classes=3, seed=0):
  """Returns labels, a good classifier and one that guesses."""
  rng = np.random.default_rng(seed)
  labels_N = rng.integers(classes, size=count)
  good_NC = rng.normal(size=(count, classes))
  good_NC[np.arange(count), labels_N] += 1.0
  return labels_N, good_NC, rng.normal(size=(count, classes))


def nats(parts, weights_K, labels_N):
  log_NC = stacking.stacked(parts, weights_K)
  return -log_NC[np.arange(len(labels_N)), labels_N].mean()


def test_no_other_weights_are_better():
  labels_N, *parts = drawn()
  found_K = np.array(stacking.weights(parts, labels_N))
  assert found_K[0] > 0.8 and found_K[1] < 0.1

  def penalised(weights_K):
    return nats(parts, weights_K, labels_N) * len(labels_N) + 0.5 * np.sum(
        np.square(weights_K - 0.5))
  for change in (0.02, 0), (-0.02, 0), (0, 0.02), (0.01, 0.01):
    assert penalised(found_K) < penalised(found_K + change)


def test_two_that_err_differently_are_better_together():
  rng = np.random.default_rng(1)
  labels_N = rng.integers(2, size=2000)
  parts = [rng.normal(size=(2000, 2)) + 0.8 * np.eye(2)[labels_N]
           for _ in range(2)]
  weights_K = stacking.weights(parts, labels_N)
  right = [np.mean(each.argmax(axis=1) == labels_N) for each in (
      stacking.stacked(parts, weights_K), *parts)]
  assert right[0] > max(right[1:]) + 0.03


def test_weights_are_not_negative():
  labels_N, good_NC, _ = drawn()
  weights_K = stacking.weights([good_NC, -good_NC], labels_N)
  assert weights_K[1] == 0 < weights_K[0]


@pytest.mark.parametrize('size', [1e4, np.inf])
def test_a_class_that_is_ruled_out_leaves_finite_numbers(size):
  labels_N, good_NC, _ = drawn()
  certain_NC = np.zeros_like(good_NC)
  certain_NC[::2, 0] = -size
  weights_K = stacking.weights([good_NC, certain_NC], labels_N)
  assert np.isfinite(weights_K).all()
  assert np.isfinite(stacking.stacked([good_NC, certain_NC], weights_K)).all()


def test_few_examples_leave_both_their_weight():
  weights_K = stacking.weights([np.array([[5.0, -5.0]])] * 2, np.array([0]))
  assert weights_K == pytest.approx((0.5, 0.5), abs=0.01)
