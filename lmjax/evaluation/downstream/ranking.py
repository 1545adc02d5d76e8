"""How well scores rank the examples of a class above all others."""
from collections.abc import Mapping
import os

import numpy as np

from lmjax.core.files import atomic
from lmjax.evaluation import estimates

_ONE_CLASS = 'all examples are of one class'


def auc(scores_N: np.ndarray, positive_N: np.ndarray) -> estimates.Estimate:
  """Returns the area under the ROC curve.

  This is the probability that a positive example has a higher score than a
  negative one, where equal scores count one half. The standard error is
  DeLong's.

  Args:
    scores_N: The score of each example.
    positive_N: Whether the example is of the class.

  References:
    DeLong et al., Comparing the Areas under Two or More Correlated ROC Curves,
    Biometrics 44, 1988, eq. 3 to 5.

  Example:
    >>> auc(np.array([3, 2, 1]), np.array([True, False, True])).value
    0.5
  """
  positive_N = np.asarray(positive_N, bool)
  above_P = _shares(scores_N[positive_N], scores_N[~positive_N])
  below_Q = 1 - _shares(scores_N[~positive_N], scores_N[positive_N])
  if not len(above_P) or not len(below_Q):
    return estimates.Estimate(None, why=_ONE_CLASS)
  variance = None
  if min(len(above_P), len(below_Q)) > 1:
    variance = (above_P.var(ddof=1) / len(above_P)
                + below_Q.var(ddof=1) / len(below_Q))
  return estimates.Estimate(
      float(above_P.mean()), None if variance is None else float(variance**0.5))


def average_precision(scores_N: np.ndarray, positive_N: np.ndarray
                      ) -> estimates.Estimate:
  """Returns the mean precision over the recalls of all thresholds.

  With P_k and R_k the precision and recall of the examples whose score is at
  least the k-th highest one, this is the sum over k of (R_k - R_{k-1}) P_k.
  There is no standard error.
  """
  if not np.any(positive_N):
    return estimates.Estimate(None, why='no example is of the class')
  precision, recall = curve(scores_N, positive_N)
  return estimates.Estimate(
      float(np.sum(np.diff(recall, prepend=0.0) * precision)))


def curve(scores_N: np.ndarray, positive_N: np.ndarray
          ) -> tuple[np.ndarray, np.ndarray]:
  """Returns precision and recall at each distinct score, from the highest.

  Args:
    scores_N: The score of each example.
    positive_N: Whether the example is of the class; some are.
  """
  order = np.argsort(-scores_N, kind='stable')
  ranked = scores_N[order]
  last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
  right = np.cumsum(np.asarray(positive_N, bool)[order])[last]
  return right / (last + 1), right / right[-1]


def plot(path: str | os.PathLike,
         scores: Mapping[str, tuple[np.ndarray, np.ndarray]], title: str
         ) -> None:
  """Draws the precision-recall curve of each class as a PNG.

  Args:
    path: The file.
    scores: `scores_N` and `positive_N` by the name of the class.
    title: The title.
  """
  from matplotlib import figure  # pylint: disable=g-import-not-at-top
  fig = figure.Figure((6.4, 4.8), layout='constrained')
  axes = fig.add_subplot()
  for name, (scores_N, positive_N) in scores.items():
    precision, recall = curve(scores_N, positive_N)
    area = average_precision(scores_N, positive_N).value
    axes.step(np.append(0.0, recall), np.append(precision[:1], precision),
              where='pre', lw=1.5,
              label=f'{name}: {area:.3f}'.replace('$', r'\$'))
  axes.set(xlabel='recall', ylabel='precision', xlim=(0, 1), ylim=(0, 1.02))
  axes.grid(alpha=0.3)
  axes.legend(title='average precision', fontsize=8, loc='lower left')
  fig.suptitle(title, fontsize=10)
  with atomic.opened(path, 'wb') as file:
    fig.savefig(file, dpi=120)


def _shares(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
  """Returns for each score the share of others below it; equal ones half."""
  ranked = np.sort(others)
  return (np.searchsorted(ranked, ones, 'left')
          + np.searchsorted(ranked, ones, 'right')) / 2 / max(len(others), 1)
