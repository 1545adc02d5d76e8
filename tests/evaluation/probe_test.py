"""A probe finds the best linear classifier, whatever the scale."""
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.evaluation import probe

RNG = np.random.default_rng(0)
CENTRES = np.array([[0, 0], [4, 0], [0, 4]], np.float32)
LABELS = RNG.integers(3, size=60)
VECTORS = CENTRES[LABELS] + 0.3 * RNG.normal(size=(60, 2)).astype(np.float32)


def test_separable_classes_are_separated():
  found = probe.fit(VECTORS[:40], LABELS[:40])
  assert found.accuracy(VECTORS[40:], LABELS[40:]) == 1
  assert found.kernel_DC.shape == (2, 3)


def test_scale_and_offset_of_features_do_not_matter():
  moved = VECTORS * np.array([[1000, 0.01]]) + np.array([[5, -7]])
  one, other = probe.fit(VECTORS, LABELS), probe.fit(moved, LABELS)
  np.testing.assert_allclose(one(VECTORS), other(moved), atol=0.05)


def test_a_constant_feature_has_no_effect():
  constant = np.concatenate([VECTORS, np.full((60, 1), 3.0)], axis=1)
  with_it, without = probe.fit(constant, LABELS), probe.fit(VECTORS, LABELS)
  np.testing.assert_allclose(with_it(constant), without(VECTORS), atol=1e-2)


def test_the_fit_is_the_minimum():
  found = probe.fit(VECTORS, LABELS, penalty=2.0)
  x = (VECTORS - found.mean_D) / found.scale_D
  logits = found(VECTORS)
  p = np.exp(logits - logits.max(1, keepdims=True))
  p /= p.sum(1, keepdims=True)
  error = p - np.eye(3)[LABELS]
  np.testing.assert_allclose(error.sum(0), 0, atol=1e-2)
  np.testing.assert_allclose(
      x.T @ error + 2.0 * found.kernel_DC, 0, atol=1e-2)


def test_bad_labels_are_refused():
  with pytest.raises(errors.InputError, match='59 labels for 60 vectors'):
    probe.fit(VECTORS, LABELS[:-1])
  with pytest.raises(errors.InputError, match='at least 2 classes'):
    probe.fit(VECTORS, np.zeros(60, int))
