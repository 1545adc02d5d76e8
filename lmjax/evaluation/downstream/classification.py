"""Results of classification: accuracy, F1, the confusion matrix."""
from collections.abc import Callable, Sequence
import dataclasses
import math
import os
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.evaluation import estimates

_LEAST_CELL = 0.14  # Inches of the picture of the confusion matrix.
_MOST_SIDE = 28.0  # Inches.
_MOST_COUNTED = 30  # More classes leave no room for counts in the cells.
_LEAST_FONT = 5.0  # Points.


@dataclasses.dataclass(frozen=True)
class Classification:
  """Counts of predicted classes for each of C true classes.

  Attributes:
    confusion_CC: Number of examples of class i (row) that were predicted as
      class j (column).
    names: Names of the classes.
    loss: The mean negative log-likelihood of the true class in nats; None if
      there are no probabilities.
  """
  confusion_CC: np.ndarray
  names: tuple[str, ...]
  loss: estimates.Estimate | None = None

  @classmethod
  def of(cls, labels: Sequence[int], predictions: Sequence[int],
         names: Sequence[str]) -> 'Classification':
    """Counts predictions.

    Args:
      labels: True classes, from 0.
      predictions: Predicted classes, from 0.
      names: Name of each class.

    Raises:
      InputError: If the lengths differ or are 0, or a class has no name.
    """
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape or labels.ndim != 1 or not len(labels):
      raise errors.InputError(
          'labels and predictions should be equally long lists of classes; got '
          f'shapes {labels.shape} and {predictions.shape}.')
    size = len(names)
    for title, values in ('label', labels), ('prediction', predictions):
      wrong = values[(values < 0) | (values >= size)]
      if len(wrong):
        raise errors.InputError(
            f'A {title} should be 0 to {size - 1}, one of the {size} names; '
            f'got {wrong[0]}.')
    confusion = np.bincount(
        labels.astype(np.int64) * size + predictions, minlength=size * size)
    return cls(confusion.reshape(size, size), tuple(names))

  @classmethod
  def of_logits(cls, labels: Sequence[int], logits: np.ndarray,
                names: Sequence[str]) -> 'Classification':
    """Counts the classes of the largest logits; see `of`.

    Args:
      labels: True classes, from 0.
      logits: Unnormalised log-probabilities, [examples, C].
      names: Name of each class.
    """
    found = cls.of(labels, logits.argmax(axis=-1), names)
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    nll = np.log(np.exp(wide).sum(axis=-1)) - np.take_along_axis(
        wide, np.asarray(labels)[:, None], axis=-1)[:, 0]
    return dataclasses.replace(found, loss=estimates.mean(nll))

  @property
  def examples(self) -> int:
    """Number of examples."""
    return int(self.confusion_CC.sum())

  @property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """Accuracy, macro-F1 and, if known, the loss, with standard errors."""
    loss = {} if self.loss is None else {'loss': self.loss}
    return loss | {
        'accuracy': estimates.Estimate(self.accuracy, self.accuracy_stderr),
        'macro_f1': estimates.jackknife(self.macro_f1, *self._without_one())}

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns {title: a function that draws the confusion matrix}."""
    return {'Confusion': lambda path, title: plot(path, self, title)}

  def _without_one(self) -> tuple[np.ndarray, np.ndarray]:
    """Returns, per nonzero cell, macro-F1 without one example, and its size."""
    cells = np.argwhere(self.confusion_CC)
    found = []
    for i, j in cells if self.examples > 1 else ():
      fewer_CC = self.confusion_CC.copy()
      fewer_CC[i, j] -= 1
      found.append(Classification(fewer_CC, self.names).macro_f1)
    return np.array(found), self.confusion_CC[tuple(cells.T)]

  @property
  def accuracy(self) -> float:
    """Share of predictions that are right."""
    return float(np.trace(self.confusion_CC) / self.examples)

  @property
  def accuracy_stderr(self) -> float | None:
    """Standard error of the accuracy, for independent examples."""
    if self.examples < 2:
      return None
    return math.sqrt(self.accuracy * (1 - self.accuracy) / (self.examples - 1))

  @property
  def precision(self) -> np.ndarray:
    """Share of the predictions of each class that are right; 0 for none."""
    return _ratio(np.diag(self.confusion_CC), self.confusion_CC.sum(axis=0))

  @property
  def recall(self) -> np.ndarray:
    """Share of the examples of each class predicted as it; 0 for none."""
    return _ratio(np.diag(self.confusion_CC), self.confusion_CC.sum(axis=1))

  @property
  def f1(self) -> np.ndarray:
    """Harmonic mean of precision and recall of each class."""
    sizes = self.confusion_CC.sum(axis=0) + self.confusion_CC.sum(axis=1)
    return _ratio(2 * np.diag(self.confusion_CC), sizes)

  @property
  def macro_f1(self) -> float:
    """Mean F1 of the classes that occur, as a label or as a prediction."""
    sizes = self.confusion_CC.sum(axis=0) + self.confusion_CC.sum(axis=1)
    return float(self.f1[sizes > 0].mean())

  def tables(self) -> dict[str, Any]:
    """Returns no further table; see `task.Result`."""
    return {}

  def to_dict(self) -> dict:
    """Returns JSON types."""
    classes = [
        {'name': name, 'examples': int(count), 'precision': float(p),
         'recall': float(r), 'f1': float(f)}
        for name, count, p, r, f in zip(
            self.names, self.confusion_CC.sum(axis=1), self.precision,
            self.recall, self.f1)]
    return {'examples': self.examples} | estimates.to_dict(self.metrics) | {
        'classes': classes, 'confusion': self.confusion_CC.tolist()}


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
  return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def plot(path: str | os.PathLike, result: Classification,
         title: str = 'Confusion', unit: str = 'examples') -> None:
  """Draws the confusion matrix as a PNG, coloured by shares of each row.

  Each row ends in the recall of its class.

  Args:
    path: The file.
    result: The counts.
    title: The first line of the title.
    unit: The name of what is counted.
  """
  from matplotlib import figure  # pylint: disable=g-import-not-at-top
  size = len(result.names)
  cell = min(0.5, max(_LEAST_CELL, 6.5 / size))  # Inches.
  side = min(_MOST_SIDE, max(2.0, cell * size))
  fig = figure.Figure((side + 3.5, side + 2.0), layout='constrained')
  axes = fig.add_subplot()
  counts_CC = result.confusion_CC
  shares_CC = counts_CC / np.maximum(counts_CC.sum(axis=1, keepdims=True), 1)
  image = axes.imshow(shares_CC, cmap='Blues', vmin=0, vmax=1)
  if size <= _MOST_COUNTED:
    for i, j in np.argwhere(counts_CC):
      axes.text(j, i, f'{counts_CC[i, j]}', ha='center', va='center',
                fontsize=8, color='white' if shares_CC[i, j] > 0.5 else '0.2')
  _name_classes(axes, result, font=min(10, 58 * side / size))
  axes.set(xlabel='predicted', ylabel='true')
  fig.colorbar(image, ax=axes, shrink=0.8, label='share of the true class')
  fig.suptitle(
      f'{title}\naccuracy {result.accuracy:.1%}, macro-F1 {result.macro_f1:.3f}'
      f', {result.examples:,} {unit}', fontsize=10)
  with atomic.opened(path, 'wb') as file:
    fig.savefig(file, dpi=120, bbox_inches='tight')  # Cuts off empty margins.


def _name_classes(axes: Any, result: Classification, font: float) -> None:
  """Labels columns and rows with names, and rows with recalls too.

  Args:
    axes: The axes of the matrix.
    result: The counts.
    font: Points that a label may be high. If that is too small to read, only
      some of the classes are labelled.
  """
  size = len(result.names)
  every = math.ceil(_LEAST_FONT / font)
  places, font = range(0, size, every), max(font, _LEAST_FONT)
  # Without escapes, Matplotlib would read a pair of dollar signs as a formula.
  names = [result.names[i].replace('$', r'\$') for i in places]
  upright = size > _MOST_COUNTED
  axes.set_xticks(places, names, rotation=90 if upright else 45, ha='right',
                  va='center' if upright else 'baseline',
                  rotation_mode='anchor')
  axes.set_yticks(places, names)
  seen_C, recall_C = result.confusion_CC.sum(axis=1), result.recall
  right = axes.secondary_yaxis('right')
  right.set_yticks(places, [f'{recall_C[i]:.2f}' if seen_C[i] else '-'
                            for i in places])
  right.set_ylabel('recall')
  for each in axes, right:
    each.tick_params(length=0, labelsize=font)
    each.spines[:].set_visible(False)
