"""Histograms of parameters and gradients, for the trackers of a run."""
from collections.abc import Callable, Mapping, Sequence
import math
from typing import Any

import jax
import numpy as np

from lmjax.core import trees
from lmjax.training import step as step_lib
from lmjax.training.trackers import tracker as tracker_lib

_BINS = 64


class Observer:
  """Shows histograms before every `every`-th step.

  The gradient is computed a second time, from the same batch and with the same
  key, so that the compiled step stays as it is and the run does not change.

  Attributes:
    every: Steps between histograms.
  """

  def __init__(
      self, every: int, objective: step_lib.Objective,
      batches: Callable[[int], Mapping[str, np.ndarray]],
      trackers: Sequence[tracker_lib.Tracker], parts: int = 1):
    """Initializes the observer.

    Args:
      every: Steps between histograms.
      objective: The objective of the run.
      batches: Function from an index to the whole batch, as in `loop.fit`.
      trackers: Receive the histograms.
      parts: Parts that the batch is cut into, as one device has to process it
        all; the largest divisor that it shares with the number of rows is used.
    """
    self.every = every
    self._batches, self._trackers, self._parts = batches, trackers, parts
    self._gradient = jax.jit(
        lambda state, batch, parts: step_lib.mean_gradient(
            state, batch, objective=objective, microbatches=parts)[0],
        static_argnums=2)

  def __call__(self, step: int, state: step_lib.TrainState) -> None:
    """Passes the histograms before a step to the trackers.

    Args:
      step: The number of the step that comes next.
      state: The state before it, without the copies for several devices.
    """
    batch = self._batches(step - 1)
    rows = len(jax.tree.leaves(batch)[0])
    parts = 1 if state.carry is not None else math.gcd(rows, self._parts)
    found = {'parameters': state.params,
             'gradients': self._gradient(state, batch, parts)}
    for kind, tree in found.items():
      for path, array in trees.items(tree):
        if (histogram := of(array)) is not None:
          for tracker in self._trackers:
            tracker.histogram(step, f'{kind}/{path}', *histogram)


def of(array: Any) -> tuple[np.ndarray, np.ndarray] | None:
  """Returns counts and edges of an array's values; None if any is not finite.

  Example:
    >>> counts, edges = of(np.arange(128))
    >>> counts.tolist() == [2] * 64, edges[[0, -1]].tolist()
    (True, [0.0, 127.0])
  """
  values = np.asarray(array, np.float32).ravel()
  if not np.all(np.isfinite(values)):
    return None
  return np.histogram(values, _BINS)
