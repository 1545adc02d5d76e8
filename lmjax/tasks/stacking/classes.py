"""Weighs two classifiers, so that together they predict best."""
from collections.abc import Sequence

import numpy as np

from lmjax.evaluation.downstream import classification

_EQUAL = 0.5  # The weight of each where there is nothing to learn from.
_LEAST = -100.0  # A class that a classifier rules out has no finite logarithm.


def weights(parts: Sequence[np.ndarray], labels_N: np.ndarray
            ) -> tuple[float, ...]:
  """Returns the weight of each classifier, on examples that none has seen.

  The stack predicts p(y | x) in proportion to the product over classifiers of
  p_k(y | x) ** w_k. The weights w_k >= 0 maximise

    sum over examples of log p(y | x) - |w - 1/2|^2 / 2,

  which is concave. They need not add up to 1, so the stack is calibrated, too.

  Args:
    parts: The logits of each classifier, [N, C].
    labels_N: The class of each example.

  References:
    Wolpert, Stacked generalization, Neural Networks 5, 1992. Hinton, Training
    Products of Experts by Minimizing Contrastive Divergence, 2002, eq. 1.
  """
  from scipy import optimize  # Slow to import, and only needed here.
  rows_N = np.arange(len(labels_N))
  log_KNC = _finite(parts)

  def loss(weights_K):
    log_NC = _weighed(log_KNC, weights_K)
    miss_NC = np.exp(log_NC)
    value = -log_NC[rows_N, labels_N].sum()
    miss_NC[rows_N, labels_N] -= 1
    offset_K = weights_K - _EQUAL
    return (value + 0.5 * offset_K @ offset_K,
            np.einsum('knc,nc->k', log_KNC, miss_NC) + offset_K)

  found = optimize.minimize(
      loss, np.full(len(parts), _EQUAL), jac=True, method='L-BFGS-B',
      bounds=[(0, None)] * len(parts))
  return tuple(map(float, found.x))


def stacked(parts: Sequence[np.ndarray], weights_K: Sequence[float]
            ) -> np.ndarray:
  """Returns the log-probabilities of the stack, [N, C]; see `weights`."""
  return _weighed(_finite(parts), np.array(weights_K))


def _weighed(log_KNC, weights_K):
  return classification.log_shares(
      np.einsum('k,knc->nc', weights_K, log_KNC))


def _finite(parts):
  """Returns log-probabilities of all classifiers, [K, N, C]."""
  return np.maximum(np.stack(
      [classification.log_shares(part_NC) for part_NC in parts]), _LEAST)
