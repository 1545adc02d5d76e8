"""AdamW against its equations, two steps by hand."""
import numpy as np

from lmjax.training.optimizers import adamw
from tests.reference import two_steps


def test_decay_is_decoupled_from_the_moments():
  got = two_steps.updates(adamw.AdamW(
      learning_rate=0.1, weight_decay=0.5, clip_norm=None, eps=1e-3))
  m = v = 0.0
  for t, (gradient, update) in enumerate(zip(two_steps.GRADIENTS, got), 1):
    m = 0.9 * m + 0.1 * gradient
    v = 0.95 * v + 0.05 * gradient**2
    step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
    np.testing.assert_allclose(
        update, -0.1 * (step + 0.5 * two_steps.KERNEL), rtol=1e-5)
