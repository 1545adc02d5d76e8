"""Linear probes: logistic regression on frozen vectors."""
from collections.abc import Sequence
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from lmjax.core import errors


@dataclasses.dataclass(frozen=True)
class Probe:
  """A linear classifier of standardised vectors.

  Attributes:
    mean_D: Mean of the vectors, which is subtracted.
    scale_D: Their standard deviation, which then divides them.
    kernel_DC: Kernel of the linear map.
    bias_C: Bias of the linear map.
  """
  mean_D: np.ndarray
  scale_D: np.ndarray
  kernel_DC: np.ndarray
  bias_C: np.ndarray

  def __call__(self, x_ND: np.ndarray) -> np.ndarray:
    """Returns `logits_NC`."""
    x_ND = (x_ND - self.mean_D[None]) / self.scale_D[None]
    return x_ND @ self.kernel_DC + self.bias_C[None]

  def accuracy(self, x_ND: np.ndarray, labels: Sequence[int]) -> float:
    """Returns the share of vectors that are classified correctly."""
    return float(np.mean(np.argmax(self(x_ND), axis=1) == np.asarray(labels)))


def fit(x_ND: np.ndarray, labels: Sequence[int], *, penalty: float = 1.0,
        steps: int = 100) -> Probe:
  """Fits multinomial logistic regression to vectors by L-BFGS.

  The problem is convex, so the result does not depend on a seed.

  Args:
    x_ND: One vector per example.
    labels: Their classes, from 0.
    penalty: Factor of half the squared norm of the kernel, which is added to
      the sum of the examples' losses in nats.
    steps: Steps of the optimizer.

  Raises:
    InputError: If the numbers of labels and vectors differ, or there is only
      one class.

  References:
    Alain and Bengio, Understanding Intermediate Layers Using Linear Classifier
    Probes, arXiv:1610.01644.
  """
  x_ND, labels = np.asarray(x_ND, np.float32), np.asarray(labels, np.int32)
  if len(x_ND) != len(labels) or not len(labels) or labels.max() < 1:
    raise errors.InputError(
        'A probe needs a label for each vector, of at least 2 classes; got '
        f'{len(labels)} labels for {len(x_ND)} vectors.')
  mean_D, scale_D = x_ND.mean(axis=0), x_ND.std(axis=0) + 1e-6
  scaled_ND = (x_ND - mean_D[None]) / scale_D[None]
  kernel, bias = jax.device_get(_minimise(
      scaled_ND, labels, penalty, num_classes=int(labels.max()) + 1,
      steps=steps))
  return Probe(mean_D, scale_D, kernel, bias)


@functools.partial(jax.jit, static_argnames=('num_classes', 'steps'))
def _minimise(x_ND, labels_N, penalty, *, num_classes, steps):
  """Returns the kernel and the bias that minimise the penalised loss."""
  def loss(weights):
    kernel_DC, bias_C = weights
    nll_N = optax.softmax_cross_entropy_with_integer_labels(
        x_ND @ kernel_DC + bias_C[None], labels_N)
    return jnp.sum(nll_N) + penalty * jnp.sum(jnp.square(kernel_DC)) / 2

  solver = optax.lbfgs()
  value_and_grad = optax.value_and_grad_from_state(loss)

  def update(carry, _):
    weights, state = carry
    value, grad = value_and_grad(weights, state=state)
    updates, state = solver.update(
        grad, state, weights, value=value, grad=grad, value_fn=loss)
    return (optax.apply_updates(weights, updates), state), value

  start = (jnp.zeros((x_ND.shape[1], num_classes)), jnp.zeros(num_classes))
  (weights, _), _ = jax.lax.scan(
      update, (start, solver.init(start)), None, length=steps)
  return weights
