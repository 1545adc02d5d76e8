"""Regression: one number for each text, or each pair of texts."""
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
import math
from typing import Any, ClassVar

import flax.linen as nn
import numpy as np

from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation.downstream import alone
from lmjax.evaluation.downstream import regression
from lmjax.models.heads import paired
from lmjax.models.heads import pooled
from lmjax.objectives import numbers as numbers_lib
from lmjax.tasks.baselines import classes as baselines
from lmjax.tasks.baselines import regression as baselines_lib
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import rows as rows_lib
from lmjax.tasks.stacking import numbers as stacking
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class Metrics:
  """The evaluation of a regression: correlations and error, with baselines.

  Attributes:
    baselines: Names in `regression_baselines.BASELINES`, fitted to the training
      split.
  """
  baselines: tuple[str, ...] = ('mean', 'ridge')

  def __post_init__(self):
    baselines.check(self.baselines, baselines_lib.BASELINES)


@dataclasses.dataclass(frozen=True)
class Regression:
  """Regression from texts to numbers; a `task.Task`.

  The model learns standardised labels: their training mean is subtracted, and
  the result is divided by their training standard deviation. So the learning
  rate does not depend on the unit of the labels. Answers and metrics are in the
  unit of the labels, except for the loss.

  Attributes:
    source: The source of the examples; labels are numbers such as '3.8'.
    features: How texts become rows.
    head: The head with one output on top of the backbone.
    objective: The objective to minimise.
    metrics: The evaluation of the numbers.
    stack: Whether answers come from a stack of the model and the baseline
      `ridge`, with weights that the validation split chooses after training;
      see `stacking.numbers`. On small sets, the two make different mistakes.
  """
  source: labelled.Labelled
  features: rows_lib.Features = rows_lib.Features()
  head: paired.Config = pooled.PooledConfig()
  objective: numbers_lib.SquaredError = numbers_lib.SquaredError()
  metrics: Metrics = Metrics()
  stack: bool = False

  unit: ClassVar = 'texts'  # What the weight of the loss counts.

  @property
  def batch_size(self) -> int:
    return self.features.batch_size

  @property
  def longest(self) -> int:
    return self.features.longest

  def read(self) -> task_lib.Splits:
    """See `task.Task`.

    Raises:
      InputError: If a label is not a finite number, or all training labels are
        equal.
    """
    found = self.source.divided()
    for split in found.valid, found.test:
      numbers(split)
    labels_N = numbers(found.train)
    if not labels_N.min() < labels_N.max():
      raise errors.InputError(
          'A regression needs labels that differ; all '
          f'{len(labels_N)} of the train split are {labels_N[0]:g}.')
    return task_lib.Splits(
        found.train, found.valid, found.test, notes=found.notes,
        texts=len(found.test[0].texts),
        scale=(float(labels_N.mean()), float(labels_N.std())),
        fitted=baselines_lib.Ridge.fit(
            found.train, labels_N).arrays() if self.stack else {})

  def texts(self, examples: Sequence[task_lib.Example]) -> Iterable[str]:
    """See `task.Task`."""
    return (text for e in examples for text in self.features.spelled(e.texts))

  def rows(self, examples: Sequence[task_lib.Example],
           splits: task_lib.Splits, tokenizer: tokenizer_lib.Tokenizer
           ) -> rows_lib.Rows:
    """Returns the rows of texts, with standardised labels.

    Raises:
      InputError: If a label is not a finite number.
    """
    mean, spread = splits.scale
    labels_N = numbers(examples, unknown=mean)
    return self.features.build(
        [e.texts for e in examples],
        ((labels_N - mean) / spread).astype(np.float32), tokenizer)

  def model(self, backbone: Any, splits: task_lib.Splits) -> nn.Module:
    """See `task.Task`."""
    return self.head.build(backbone, 1, 'number', splits.texts)

  def loss(self, model: nn.Module) -> numbers_lib.Objective:
    """See `task.Task`."""
    return self.objective.build(model)

  def outputs(self, model: nn.Module) -> Callable[[Any, Any], Any]:
    """Returns a function that returns standardised numbers, [B]."""
    return lambda params, batch: numbers_lib.predictions(model, params, batch)

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Any,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits with the weights of a stack; see `task.Task`."""
    if not self.stack:
      return splits
    parts = np.asarray(outputs(), np.float64), _ridge(splits, splits.valid)
    return dataclasses.replace(splits, thresholds=stacking.weights(
        parts, rows.by_row['labels']))

  def judge(self, outputs: Sequence[np.ndarray],
            examples: Sequence[task_lib.Example], rows: rows_lib.Rows,
            splits: task_lib.Splits) -> regression.Regression:
    """Returns correlations and squared errors in the unit of the labels.

    Until `settled` has weighed a stack, they are those of the model alone.
    """
    del rows
    parts = self._parts(outputs, examples, splits)

    def judged(standardised_N):
      return regression.Regression.of(
          numbers(examples), in_unit(standardised_N, splits), splits.scale[1])
    return dataclasses.replace(
        judged(_together(parts, splits)),
        parts=alone.named(parts, splits.thresholds, judged))

  def _parts(self, outputs, examples, splits):
    """Returns the standardised numbers of the model and of the baseline."""
    own = {'model': np.asarray(outputs, np.float64)}
    if not self.stack or not splits.thresholds:
      return own
    return own | {'ridge': _ridge(splits, examples)}

  def answers(self, outputs: Sequence[np.ndarray],
              examples: Sequence[task_lib.Example], rows: rows_lib.Rows,
              splits: task_lib.Splits) -> Iterator[dict[str, Any]]:
    """Yields texts with the predicted number, to 7 digits."""
    del rows
    found_N = _together(self._parts(outputs, examples, splits), splits)
    for example, number in zip(examples, in_unit(found_N, splits)):
      label = {}
      if example.label is not None:
        label['label'] = float(example.label)
      yield task_lib.shown(example) | label | {
          'predicted': float(f'{number:.7g}')}

  def baselines(self, splits: task_lib.Splits, rows: rows_lib.Rows
                ) -> dict[str, regression.Regression]:
    """Returns results of the baselines, fitted to the training split."""
    del rows
    labels_N, out = numbers(splits.train), {}
    for name in self.metrics.baselines:
      kind = baselines_lib.BASELINES[name]
      fitted = (kind.of(splits.fitted) if name == 'ridge' and splits.fitted
                else kind.fit(splits.train, labels_N))
      out[fitted.name] = regression.Regression.of(
          numbers(splits.test), fitted(splits.test), splits.scale[1])
    return out

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[task_lib.Example]:
    """See `task.Task`."""
    return [task_lib.example(texts, where, label)]


def numbers(examples: Sequence[task_lib.Example], unknown: float = math.nan
            ) -> np.ndarray:
  """Returns the labels of examples as numbers, float64 [examples].

  Args:
    examples: The examples, whose labels are text.
    unknown: The number for a label that is None.

  Raises:
    InputError: If a label is not a finite number.
  """
  found = np.full(len(examples), unknown)
  for i, example in enumerate(examples):
    if example.label is None:
      continue
    try:
      found[i] = float(example.label)
    except ValueError:
      found[i] = math.nan
    if not math.isfinite(found[i]):
      raise errors.InputError(
          f'{example.where}: label {example.label!r} is no finite number, such '
          'as 3.8, which a regression needs.')
  return found


def _together(parts, splits):
  """Returns the standardised numbers that answer, [N]."""
  if len(parts) == 1:
    return parts['model']
  return stacking.stacked(list(parts.values()), splits.thresholds)


def _ridge(splits, examples):
  """Returns the standardised numbers of the ridge regression of the splits.

  Raises:
    InputError: If the splits have none.
  """
  try:
    fitted = baselines_lib.Ridge.of(splits.fitted)
  except ValueError as error:
    raise task_lib.unfitted('ridge regression', error) from error
  mean, spread = splits.scale
  return (fitted(examples) - mean) / spread


def in_unit(outputs: Sequence[np.ndarray], splits: task_lib.Splits
            ) -> np.ndarray:
  """Converts standardised numbers to the unit of the labels, float64."""
  mean, spread = splits.scale
  return np.asarray(outputs, np.float64) * spread + mean
