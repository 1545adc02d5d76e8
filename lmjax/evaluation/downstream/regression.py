"""Results of regression: correlations and squared errors."""
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import os
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.evaluation.downstream import alone
from lmjax.evaluation.downstream import correlations
from lmjax.evaluation import estimates

_NAMES = 'labels', 'predictions'


@dataclasses.dataclass(frozen=True)
class Regression:
  """True and predicted numbers, both in the unit of the labels.

  Attributes:
    labels_N: The true numbers.
    predictions_N: The predicted numbers, in the same order.
    spread: The standard deviation of the training labels. The loss is the mean
      squared error over its square, 1 for always predicting the mean.
    parts: Results of the regressions whose predictions were combined, by name.
  """
  labels_N: np.ndarray
  predictions_N: np.ndarray
  spread: float = 1.0
  parts: Mapping[str, 'Regression'] = dataclasses.field(default_factory=dict)

  @classmethod
  def of(cls, labels: Sequence[float], predictions: Sequence[float],
         spread: float = 1.0) -> 'Regression':
    """Returns the result of predictions; see the attributes.

    Raises:
      InputError: If the lengths differ or are 0.
    """
    labels_N, predictions_N = (
        np.asarray(x, np.float64) for x in (labels, predictions))
    if labels_N.shape != predictions_N.shape or labels_N.ndim != 1 or (
        not len(labels_N)):
      raise errors.InputError(
          'labels and predictions should be equally long lists of numbers; got '
          f'shapes {labels_N.shape} and {predictions_N.shape}.')
    return cls(labels_N, predictions_N, spread)

  @property
  def examples(self) -> int:
    """Number of examples."""
    return len(self.labels_N)

  @property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """Loss, Pearson's and Spearman's correlation, mean squared error."""
    squared_N = (self.labels_N - self.predictions_N)**2
    found = {'loss': estimates.mean(squared_N / self.spread**2)}
    for name, correlation in (('pearson', correlations.pearson),
                              ('spearman', correlations.spearman)):
      found[name] = estimates.Estimate(None, why='there is one example only')
      if self.examples > 1:
        found[name] = correlation(self.labels_N, self.predictions_N, _NAMES)
    return found | {'mse': estimates.mean(squared_N)}

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns {title: a function that draws predictions over labels}."""
    return {'Scatter': lambda path, title: plot(path, self, title)}

  def tables(self) -> dict[str, Any]:
    """Returns the metrics of the members of a stack; see `task.Result`."""
    return alone.tables('regression', self.parts)

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types; means and standard deviations can show a bias."""
    sides = {
        name: {'mean': float(x_N.mean()), 'std': float(x_N.std())}
        for name, x_N in zip(_NAMES, (self.labels_N, self.predictions_N))}
    return {'examples': self.examples} | estimates.to_dict(
        self.metrics) | sides | alone.to_dict(self.parts)


def plot(path: str | os.PathLike, result: Regression,
         title: str = 'Scatter') -> None:
  """Draws a PNG with a point per example: its prediction over its label.

  Points on the line have equal labels and predictions.
  """
  from matplotlib import figure  # pylint: disable=g-import-not-at-top
  fig = figure.Figure((6, 6), layout='constrained')
  axes = fig.add_subplot()
  shade = float(np.clip(10 / result.examples**0.5, 0.1, 0.6))
  axes.scatter(result.labels_N, result.predictions_N, s=14, alpha=shade,
               color='#2f6db5', linewidths=0)
  axes.axline((float(np.mean(result.labels_N)),) * 2, slope=1, color='0.6',
              linewidth=1)
  metrics = result.metrics
  told = ', '.join(
      f'{name} {"undefined" if found.value is None else f"{found.value:.3f}"}'
      for name, found in (('Pearson', metrics['pearson']),
                          ('Spearman', metrics['spearman'])))
  axes.set_title(f'{title}\n{told}, {result.examples:,} examples', fontsize=10)
  axes.set(xlabel='label', ylabel='prediction')
  axes.spines[['top', 'right']].set_visible(False)
  with atomic.opened(path, 'wb') as file:
    fig.savefig(file, dpi=120)
