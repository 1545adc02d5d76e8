"""Adafactor against its equations, two steps by hand."""
import numpy as np
import pytest

from lmjax.training.optimizers import adafactor
from tests.reference import two_steps


@pytest.mark.slow
def test_second_moments_are_means_of_rows_and_columns():
  got = two_steps.updates(adafactor.Adafactor(
      learning_rate=0.1, min_factored=2, clip_update=1e6, clip_norm=None,
      scale_by_size=False))
  rows = columns = 0.0
  for t, (gradient, update) in enumerate(zip(two_steps.GRADIENTS, got), 1):
    keep = 1 - t**-0.8
    square = gradient**2 + 1e-30
    rows = keep * rows + (1 - keep) * square.mean(axis=1)
    columns = keep * columns + (1 - keep) * square.mean(axis=0)
    v = rows[:, None] * columns / rows.mean()
    np.testing.assert_allclose(update, -0.1 * gradient / np.sqrt(v), rtol=1e-5)


def test_updates_are_clipped_and_follow_the_size_of_the_parameter():
  def first(**fields):
    return two_steps.updates(adafactor.Adafactor(
        learning_rate=0.1, min_factored=2, clip_norm=None, **fields))[0]
  free = first(clip_update=1e6, scale_by_size=False)
  clipped = first(clip_update=0.5, scale_by_size=False)
  np.testing.assert_allclose(np.sqrt(np.mean(clipped**2)), 0.05, rtol=1e-5)
  np.testing.assert_allclose(
      clipped / free, np.full((2, 2), (clipped / free)[0, 0]), rtol=1e-5)
  size = np.sqrt(np.mean(two_steps.KERNEL**2))
  np.testing.assert_allclose(
      first(clip_update=0.5), clipped * size, rtol=1e-5)
