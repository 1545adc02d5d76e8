"""Cross-entropy of sets of labels, by hand."""
import flax.linen as nn
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.objectives import several_labels

LOGITS = np.array([[2.0, -1.0], [0.5, 3.0], [9.0, 9.0]], np.float32)
LABELS = np.array([[1, 0], [1, 0], [0, 0]])
BATCH = dict(labels=LABELS, weights=np.array([1.0, 2.0, 0.0]),
             inputs=jnp.zeros((3, 1), int), positions=jnp.zeros((3, 1), int),
             segments=jnp.ones((3, 1), int))


class Fixed(nn.Module):
  """Returns the same logits for any text."""

  def __call__(self, inputs_BT, positions_BT, segments_BT, train=False):
    return jnp.asarray(LOGITS)


@pytest.mark.parametrize('smoothing', [0.0, 0.2])
def test_numbers_by_hand(smoothing):
  objective = several_labels.SeveralLabels(smoothing).build(Fixed())
  found = objective({}, BATCH)
  p = 1 / (1 + np.exp(-LOGITS))
  def nll(target):
    return -np.sum(
        target * np.log(p) + (1 - target) * np.log(1 - p), axis=1)[:2]
  weights = np.array([1, 2]) / 3
  assert float(found['nll'].value) == pytest.approx(
      weights @ nll(LABELS), rel=1e-5)
  target = np.where(LABELS, 1 - smoothing / 2, smoothing / 2)
  assert float(found['loss'].value) == pytest.approx(
      weights @ nll(target), rel=1e-5)
  assert float(found['exact'].value) == pytest.approx(1 / 3)
