"""RMSProp against its equations, two steps by hand."""
import numpy as np

from lmjax.training.optimizers import rmsprop
from tests.reference import two_steps


def test_gradients_over_their_root_mean_square():
  got = two_steps.updates(rmsprop.RMSProp(
      learning_rate=0.1, b2=0.75, eps=1e-6, momentum=0.5, clip_norm=None))
  v = trace = 0.0
  for gradient, update in zip(two_steps.GRADIENTS, got):
    v = 0.75 * v + 0.25 * gradient**2
    trace = gradient / np.sqrt(v + 1e-6) + 0.5 * trace
    np.testing.assert_allclose(update, -0.1 * trace, rtol=1e-5)
