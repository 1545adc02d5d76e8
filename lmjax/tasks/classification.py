"""Classification: one label for each text, or each pair of texts."""
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import numpy as np

from lmjax.core import config
from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation.downstream import alone
from lmjax.evaluation.downstream import classification
from lmjax.models.heads import paired
from lmjax.models.heads import pooled
from lmjax.objectives import labels as objective_lib
from lmjax.tasks.baselines import classes as baselines_lib
from lmjax.tasks.baselines.linear import logistic
from lmjax.tasks.readers.texts import class_weights
from lmjax.tasks.readers.texts import docstrings
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks.readers.texts import labels as labels_lib
from lmjax.tasks import rows as rows_lib
from lmjax.tasks.stacking import classes as stacking
from lmjax.tasks import task as task_lib

Source = docstrings.Docstrings | labelled.Labelled


@dataclasses.dataclass(frozen=True)
class Metrics:
  """The evaluation of a classifier, with baselines.

  Metrics are 'loss', 'accuracy', 'macro_f1' and 'matthews' (the correlation);
  of two classes also 'auc' and 'average_precision' of the second. Early
  stopping may watch any of them.

  Attributes:
    baselines: Names in `baselines.BASELINES`, fitted to the training split.
    f1: Classes whose F1 is a metric of its own, 'f1/NAME'.
  """
  baselines: tuple[str, ...] = ('majority', 'naive_bayes', 'linear')
  f1: tuple[str, ...] = ()

  def __post_init__(self):
    baselines_lib.check(self.baselines, baselines_lib.BASELINES)


@dataclasses.dataclass(frozen=True)
class Classification:
  """Classification of texts; a `task.Task`.

  Attributes:
    source: The source of the examples, with `read() -> Splits`.
    features: How texts become rows.
    head: The classifier on top of the backbone.
    objective: The objective to minimise.
    metrics: The evaluation of the classifier.
    weights: Weights of training examples by label, such as ('spam=5',), where
      other labels have 1; or ('balanced',), which gives each of the C classes
      the same total: an example of a class with n of all N has N / (C n). The
      loss that is reported on held-out texts has no weights.
    stack: Whether answers come from a stack of the model and the baseline
      `linear`, with weights that the validation split chooses after training;
      see `stacking.classes`. On small sets, the two make different mistakes.
  """
  source: Source = docstrings.Docstrings()
  features: rows_lib.Features = rows_lib.Features()
  head: paired.Config = pooled.PooledConfig()
  objective: objective_lib.Labels = objective_lib.Labels()
  metrics: Metrics = Metrics()
  weights: tuple[str, ...] = ()
  stack: bool = False

  unit: ClassVar = 'texts'  # What the weight of the loss counts.

  @property
  def batch_size(self) -> int:
    return self.features.batch_size

  @property
  def longest(self) -> int:
    return self.features.longest

  def read(self) -> task_lib.Splits:
    """See `task.Task`."""
    splits = self.source.read()
    if len(splits.labels) < 2:
      raise errors.InputError(
          'A classifier needs at least 2 classes; the task has '
          f'{len(splits.labels)}: {list(splits.labels)}.')
    for name in self.metrics.f1:
      labels_lib.check(name, splits.labels, 'task.metrics.f1')
    class_weights.by_class(self.weights, splits)
    if not self.stack:
      return splits
    return dataclasses.replace(splits, fitted=logistic.Logistic.fit(
        splits.train, splits.labels, splits.valid).arrays())

  def texts(self, examples: Sequence[task_lib.Example]) -> Iterable[str]:
    """See `task.Task`."""
    return (text for e in examples for text in self.features.spelled(e.texts))

  def rows(self, examples: Sequence[task_lib.Example],
           splits: task_lib.Splits, tokenizer: tokenizer_lib.Tokenizer
           ) -> rows_lib.Rows:
    """See `task.Task`.

    Raises:
      InputError: If an example has a label that is not in the splits.
    """
    place = {None: 0} | {label: i for i, label in enumerate(splits.labels)}
    for example in examples:
      if example.label not in place:
        raise errors.InputError(
            f'{example.where}: label {example.label!r} is not one of the '
            f'{len(splits.labels)} classes {list(splits.labels)[:20]}.'
            f'{config.near(example.label, splits.labels)}')
    rows = self.features.build(
        [e.texts for e in examples],
        np.array([place[e.label] for e in examples], np.int32), tokenizer)
    if not self.weights or not splits.train:  # New texts have no weights.
      return rows
    weights_C = class_weights.by_class(self.weights, splits)
    return dataclasses.replace(rows, by_row=dict(
        rows.by_row, weights=weights_C[rows.by_row['labels']]))

  def model(self, backbone: Any, splits: task_lib.Splits) -> nn.Module:
    """See `task.Task`."""
    return self.head.build(
        backbone, len(splits.labels), texts=splits.texts)

  def loss(self, model: nn.Module) -> objective_lib.Objective:
    """See `task.Task`."""
    return self.objective.build(model)

  def outputs(self, model: nn.Module) -> Callable[[Any, Any], Any]:
    """Returns a function that returns `logits_BC`."""
    return lambda params, batch: objective_lib.logits(model, params, batch)

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Any,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits with the weights of a stack; see `task.Task`."""
    if not self.stack:
      return splits
    parts = np.stack(outputs()), _linear(splits, splits.valid)
    return dataclasses.replace(splits, thresholds=stacking.weights(
        parts, rows.by_row['labels']))

  def judge(self, outputs: Sequence[np.ndarray],
            examples: Sequence[task_lib.Example], rows: rows_lib.Rows,
            splits: task_lib.Splits) -> classification.Classification:
    """Returns loss in nats, accuracy and other metrics, and the errors.

    Until `settled` has weighed a stack, they are those of the model alone.
    """
    parts = self._parts(outputs, examples, splits)
    return dataclasses.replace(
        self._judged(self._logits(parts, splits), rows, splits),
        texts=[' | '.join(e.texts) for e in examples],
        parts=alone.named(parts, splits.thresholds, lambda part_NC: (
            self._judged(part_NC, rows, splits))))

  def _parts(self, outputs, examples, splits):
    """Returns the logits of the model, and what it is stacked with, by name."""
    own = {'model': np.stack(outputs)}
    if not self.stack or not splits.thresholds:
      return own
    return own | {'linear': _linear(splits, examples)}

  def _logits(self, parts, splits):
    """Returns the logits that answer, [N, C]."""
    if len(parts) == 1:
      return parts['model']
    return stacking.stacked(list(parts.values()), splits.thresholds)

  def _judged(self, logits_NC: np.ndarray, rows: rows_lib.Rows,
              splits: task_lib.Splits) -> classification.Classification:
    return dataclasses.replace(
        classification.Classification.of_logits(
            rows.by_row['labels'], logits_NC, splits.labels),
        shown=self.metrics.f1)

  def answers(self, outputs: Sequence[np.ndarray],
              examples: Sequence[task_lib.Example], rows: rows_lib.Rows,
              splits: task_lib.Splits) -> Iterator[dict[str, Any]]:
    """Yields texts with the predicted class, probabilities and logits."""
    del rows
    logits_NC = self._logits(self._parts(outputs, examples, splits), splits)
    shares_NC = np.exp(classification.log_shares(logits_NC))
    for example, logits_C, shares_C in zip(examples, logits_NC, shares_NC):
      yield task_lib.shown(example) | {
          'predicted': splits.labels[logits_C.argmax()],
          'probabilities': {
              name: round(share, 6)
              for name, share in zip(splits.labels, shares_C.tolist())},
          'logits': [round(x, 4) for x in logits_C.tolist()]}

  def baselines(self, splits: task_lib.Splits, rows: rows_lib.Rows
                ) -> dict[str, classification.Classification]:
    """Returns results of the baselines, fitted to the training split."""
    texts = [' '.join(e.texts) for e in splits.test]
    out = {}
    for name in self.metrics.baselines:
      kind = baselines_lib.BASELINES[name]
      fitted = (kind.of(splits.fitted) if name == 'linear' and splits.fitted
                else kind.fit(splits.train, splits.labels, splits.valid))
      out[fitted.name] = self._judged(fitted(texts), rows, splits)
    return out

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[task_lib.Example]:
    """See `task.Task`."""
    return [task_lib.example(texts, where, label)]


def _linear(splits, examples):
  """Returns the logits of the linear classifier of the splits, [N, C].

  Raises:
    InputError: If the splits have none.
  """
  try:
    fitted = logistic.Logistic.of(splits.fitted)
    if len(fitted.bias_C) != len(splits.labels):
      raise ValueError(f'it has {len(fitted.bias_C)} classes')
  except ValueError as error:
    raise task_lib.unfitted('linear classifier', error) from error
  return fitted([' '.join(e.texts) for e in examples])
