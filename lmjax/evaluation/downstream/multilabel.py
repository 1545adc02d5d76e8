"""Scores of texts that have any number of labels."""
from collections.abc import Callable, Sequence
import dataclasses
import functools
import os
from typing import Any

import numpy as np

from lmjax.evaluation.downstream import ranking
from lmjax.evaluation import estimates

_MOST_CURVES = 8


@dataclasses.dataclass(frozen=True)
class Multilabel:
  """Compares predicted sets of labels with true ones.

  Attributes:
    names: Names of the C labels.
    true_NC: Whether each of N examples has each label.
    logits_NC: Log-odds of the labels.
    threshold: The probability from which on a label is predicted.
  """
  names: tuple[str, ...]
  true_NC: np.ndarray
  logits_NC: np.ndarray
  threshold: float = 0.5

  @property
  def examples(self) -> int:
    """Number of examples."""
    return len(self.true_NC)

  @functools.cached_property
  def said_NC(self) -> np.ndarray:
    """Whether each label is predicted."""
    return chosen(self.logits_NC, self.threshold)

  @functools.cached_property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """Loss in nats per example, micro- and macro-F1, and exact matches.

    Micro-F1 counts all labels of all examples together. Macro-F1 is the mean
    over labels that occur, as a label or as a prediction.
    """
    logits_NC, right_NC = self.logits_NC, self.true_NC & self.said_NC
    nll_N = np.sum(np.logaddexp(0, np.where(
        self.true_NC, -logits_NC, logits_NC)), axis=1)
    sizes_NC = self.true_NC.astype(int) + self.said_NC
    micro = estimates.ratio(2 * right_NC.sum(axis=1), sizes_NC.sum(axis=1))
    right_C, sizes_C = right_NC.sum(axis=0), sizes_NC.sum(axis=0)
    macro = estimates.jackknife(
        float(_macro(right_C[None], sizes_C[None])[0]),
        _macro(right_C - right_NC, sizes_C - sizes_NC))
    return {
        'loss': estimates.mean(nll_N), 'micro_f1': micro, 'macro_f1': macro,
        'exact': estimates.mean(np.all(self.true_NC == self.said_NC, axis=1))}

  def by_label(self) -> list[dict[str, Any]]:
    """Returns counts, precision, recall and F1 of each label, as JSON types."""
    right_C = (self.true_NC & self.said_NC).sum(axis=0)
    found = []
    for name, right, true, said in zip(
        self.names, right_C.tolist(), self.true_NC.sum(axis=0).tolist(),
        self.said_NC.sum(axis=0).tolist()):
      found.append({
          'name': name, 'examples': true, 'predicted': said,
          'precision': right / max(said, 1), 'recall': right / max(true, 1),
          'f1': 2 * right / max(true + said, 1)})
    return found

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns a function that draws the most frequent labels' curves."""
    counts_C = self.true_NC.sum(axis=0)
    most = np.sort(np.argsort(-counts_C, kind='stable')[:_MOST_CURVES])
    curves = {self.names[i]: (self.logits_NC[:, i], self.true_NC[:, i])
              for i in most if counts_C[i]}
    return {'Precision-recall': lambda path, title: ranking.plot(
        path, curves, title)} if curves else {}

  def tables(self) -> dict[str, tuple[Sequence[str], list[tuple[str, ...]]]]:
    """Returns the table of labels."""
    rows = [(each['name'], f'{each["examples"]:,}', f'{each["predicted"]:,}',
             *(f'{each[key]:.3f}' for key in ('precision', 'recall', 'f1')))
            for each in self.by_label()]
    return {'Labels': (('label', 'examples', 'predicted', 'precision', 'recall',
                        'F1'), rows)}

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""
    return {'examples': self.examples, 'threshold': self.threshold,
            **estimates.to_dict(self.metrics), 'labels': self.by_label()}


def chosen(logits_NC: np.ndarray, threshold: float) -> np.ndarray:
  """Returns whether the probability of each label is at least the threshold.

  Args:
    logits_NC: Log-odds of the labels.
    threshold: A probability between 0 and 1.
  """
  return logits_NC >= np.log(threshold) - np.log1p(-threshold)


def best_threshold(logits_NC: np.ndarray, true_NC: np.ndarray) -> float:
  """Returns the threshold of 0.05, 0.1 ... 0.95 with the highest micro-F1.

  Of several, it is the one closest to 0.5.
  """
  def micro_f1(threshold):
    said_NC = chosen(logits_NC, threshold)
    return 2 * np.sum(said_NC & true_NC) / max(
        np.sum(said_NC) + np.sum(true_NC), 1)
  grid = np.round(np.arange(0.05, 0.96, 0.05), 2)
  return float(max(grid, key=lambda each: (micro_f1(each), -abs(each - 0.5))))


def _macro(right_NC: np.ndarray, sizes_NC: np.ndarray) -> np.ndarray:
  """Returns the mean F1 of the labels that occur, of each row of counts."""
  f1_NC = 2 * right_NC / np.maximum(sizes_NC, 1)
  return f1_NC.sum(axis=1) / np.maximum((sizes_NC > 0).sum(axis=1), 1)
