"""Lion against its equations, two steps by hand."""
import numpy as np

from lmjax.training.optimizers import lion
from tests.reference import two_steps


def test_the_sign_of_an_interpolation():
  got = two_steps.updates(lion.Lion(
      learning_rate=0.1, b1=0.5, b2=0.75, weight_decay=0.5, clip_norm=None))
  m = 0.0
  for gradient, update in zip(two_steps.GRADIENTS, got):
    sign = np.sign(0.5 * m + 0.5 * gradient)
    m = 0.75 * m + 0.25 * gradient
    np.testing.assert_allclose(
        update, -0.1 * (sign + 0.5 * two_steps.KERNEL), rtol=1e-5)
