"""Weighs two regressions, so that together they predict best."""
from collections.abc import Sequence

import numpy as np

_EQUAL = 0.5  # The weight of each where there is nothing to learn from.


def weights(parts: Sequence[np.ndarray], labels_N: np.ndarray
            ) -> tuple[float, ...]:
  """Returns the weight of each regression, on examples that none has seen.

  The stack predicts the sum over regressions of w_k f_k(x). The weights
  w_k >= 0 minimise

    sum over examples of (y - sum over k of w_k f_k(x))^2 + |w - 1/2|^2.

  Args:
    parts: The standardised predictions f_k of each regression, [N].
    labels_N: The standardised labels y.

  References:
    Breiman, Stacked Regressions, Machine Learning 24, 1996.
  """
  from scipy import optimize  # Slow to import, and only needed here.
  count = len(parts)
  found_K, _ = optimize.nnls(
      np.concatenate([np.stack(parts, axis=1), np.eye(count)]),
      np.append(labels_N, np.full(count, _EQUAL)))
  return tuple(map(float, found_K))


def stacked(parts: Sequence[np.ndarray], weights_K: Sequence[float]
            ) -> np.ndarray:
  """Returns the standardised predictions of the stack, [N]; see `weights`."""
  return np.asarray(weights_K) @ np.stack(parts)
