"""Results of classification: accuracy, F1, the confusion matrix."""
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import math
import os
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.evaluation.downstream import ranking
from lmjax.evaluation.downstream import alone
from lmjax.evaluation import estimates

_LEAST_CELL = 0.14  # Inches of the picture of the confusion matrix.
_MOST_SIDE = 28.0  # Inches.
_MOST_COUNTED = 30  # More classes leave no room for counts in the cells.
_LEAST_FONT = 5.0  # Points.
_MOST_CURVES = 8
_WORST = 20
_LONGEST = 200  # Characters of a text in a table.


@dataclasses.dataclass(frozen=True)
class Classification:
  """Counts of predicted classes for each of C true classes.

  Attributes:
    confusion_CC: Number of examples of class i (row) that were predicted as
      class j (column).
    names: Names of the classes.
    loss: The mean negative log-likelihood of the true class in nats; None if
      there are no probabilities.
    labels_N: True classes of the examples; None if only counts are known.
    shares_NC: Probabilities of the classes; None if there are none.
    shown: Classes whose F1 is a metric of its own, 'f1/NAME'.
    texts: The text of each example, for the table of errors, or ().
    parts: Results of the classifiers whose predictions were combined, by name.
  """
  confusion_CC: np.ndarray
  names: tuple[str, ...]
  loss: estimates.Estimate | None = None
  labels_N: np.ndarray | None = None
  shares_NC: np.ndarray | None = None
  shown: tuple[str, ...] = ()
  texts: Sequence[str] = ()
  parts: Mapping[str, 'Classification'] = dataclasses.field(
      default_factory=dict)

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
    labels_N = np.asarray(labels)
    log_shares_NC = log_shares(logits)
    nll_N = -log_shares_NC[np.arange(len(labels_N)), labels_N]
    return dataclasses.replace(
        found, loss=estimates.mean(nll_N), labels_N=labels_N,
        shares_NC=np.exp(log_shares_NC))

  @property
  def examples(self) -> int:
    """Number of examples."""
    return int(self.confusion_CC.sum())

  @functools.cached_property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """Loss if known, accuracy, macro-F1, Matthews correlation, with errors.

    Two classes with probabilities also have the area under the ROC curve and
    the average precision of the second class.
    """
    found = {} if self.loss is None else {'loss': self.loss}
    found |= {
        'accuracy': estimates.Estimate(self.accuracy, self.accuracy_stderr),
        'macro_f1': self._jackknife(lambda each: each.macro_f1),
        'matthews': self._jackknife(lambda each: each.matthews)}
    if self.shares_NC is not None and len(self.names) == 2:
      of_second = self.shares_NC[:, 1], self.labels_N == 1
      found['auc'] = ranking.auc(*of_second)
      found['average_precision'] = ranking.average_precision(*of_second)
    for name in self.shown:
      place = self.names.index(name)
      found[f'f1/{name}'] = self._jackknife(
          lambda each, place=place: float(each.f1[place]))
    return found

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns {title: function that draws}: confusions and precision-recall.

    There are curves of at most 8 classes, those with the most examples. Of two
    classes there is one curve, for the second.
    """
    pictures = {'Confusion': lambda path, title: plot(path, self, title)}
    if self.shares_NC is None:
      return pictures
    counts_C = self.confusion_CC.sum(axis=1)
    chosen = [1] if len(counts_C) == 2 else np.sort(
        np.argsort(-counts_C, kind='stable')[:_MOST_CURVES])
    curves = {self.names[i]: (self.shares_NC[:, i], self.labels_N == i)
              for i in chosen if counts_C[i]}
    return pictures | ({'Precision-recall': lambda path, title: ranking.plot(
        path, curves, title)} if curves else {})

  def _jackknife(self, statistic: Callable[['Classification'], float]
                 ) -> estimates.Estimate:
    """Returns a statistic of the counts, with its standard error."""
    cells = np.argwhere(self.confusion_CC)
    found = []
    for i, j in cells if self.examples > 1 else ():
      fewer_CC = self.confusion_CC.copy()
      fewer_CC[i, j] -= 1
      found.append(statistic(Classification(fewer_CC, self.names)))
    return estimates.jackknife(
        statistic(self), np.array(found), self.confusion_CC[tuple(cells.T)])

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

  @property
  def matthews(self) -> float:
    """Matthews correlation of labels and predictions; 0 if one is constant.

    References:
      Gorodkin, Comparing two K-category assignments by a K-category correlation
      coefficient, 2004, eq. 8 (for two classes, Matthews, 1975).
    """
    true_C = self.confusion_CC.sum(axis=1)
    said_C = self.confusion_CC.sum(axis=0)
    number = float(self.examples)
    covariance = number * np.trace(self.confusion_CC) - float(true_C @ said_C)
    spread = ((number**2 - float(true_C @ true_C))
              * (number**2 - float(said_C @ said_C)))
    return covariance / math.sqrt(spread) if spread > 0 else 0.0

  def tables(self) -> dict[str, tuple[Sequence[str], list[tuple[str, ...]]]]:
    """Returns the scores of each class, and the worst errors.

    The worst errors are the wrong examples with the least probability of their
    label, the worst first, at most 20.
    """
    classes = [
        (name, f'{count:,}', *(f'{each:.3f}' for each in scores))
        for name, count, *scores in zip(
            self.names, self.confusion_CC.sum(axis=1), self.precision,
            self.recall, self.f1)]
    tables = {'Classes': (
        ('class', 'examples', 'precision', 'recall', 'F1'), classes)}
    tables |= alone.tables('classifier', self.parts)
    if self.shares_NC is None or not self.texts:
      return tables
    said_N = self.shares_NC.argmax(axis=1)
    own_N = self.shares_NC[np.arange(len(said_N)), self.labels_N]
    wrong = [i for i in np.argsort(own_N, kind='stable')
             if said_N[i] != self.labels_N[i]][:_WORST]
    if wrong:
      tables['Worst errors'] = (
          ('label', 'its probability', 'predicted', 'probability', 'text'),
          [(self.names[self.labels_N[i]], f'{own_N[i]:.4f}',
            self.names[said_N[i]], f'{self.shares_NC[i, said_N[i]]:.4f}',
            _short(self.texts[i])) for i in wrong])
    return tables

  def to_dict(self) -> dict:
    """Returns JSON types."""
    classes = [
        {'name': name, 'examples': int(count), 'precision': float(p),
         'recall': float(r), 'f1': float(f)}
        for name, count, p, r, f in zip(
            self.names, self.confusion_CC.sum(axis=1), self.precision,
            self.recall, self.f1)]
    return {'examples': self.examples} | estimates.to_dict(self.metrics) | {
        'classes': classes, 'confusion': self.confusion_CC.tolist()} | (
            alone.to_dict(self.parts))


def log_shares(logits_NC: np.ndarray) -> np.ndarray:
  """Returns float64 log-probabilities of unnormalised ones, [N, C]."""
  wide_NC = np.asarray(logits_NC, np.float64)
  wide_NC = wide_NC - wide_NC.max(axis=1, keepdims=True)
  return wide_NC - np.log(np.exp(wide_NC).sum(axis=1, keepdims=True))


def _short(text: str) -> str:
  """Returns a text on one line, cut if it is long."""
  text = ' '.join(text.split())
  return text if len(text) <= _LONGEST else f'{text[:_LONGEST - 1]}…'


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
