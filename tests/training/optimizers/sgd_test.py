"""SGD against its equations, two steps by hand."""
import numpy as np

from lmjax.training.optimizers import sgd
from tests.reference import two_steps


def test_momentum_and_nesterov():
  first, second = two_steps.GRADIENTS
  plain = two_steps.updates(sgd.SGD(
      learning_rate=0.1, momentum=0.0, clip_norm=None))
  np.testing.assert_allclose(plain, -0.1 * two_steps.GRADIENTS, rtol=1e-6)
  heavy = two_steps.updates(sgd.SGD(
      learning_rate=0.1, momentum=0.5, clip_norm=None))
  np.testing.assert_allclose(heavy[1], -0.1 * (second + 0.5 * first), rtol=1e-6)
  ahead = two_steps.updates(sgd.SGD(
      learning_rate=0.1, momentum=0.5, nesterov=True, clip_norm=None))
  np.testing.assert_allclose(
      ahead[1], -0.1 * (second + 0.5 * (second + 0.5 * first)), rtol=1e-6)
