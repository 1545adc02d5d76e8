"""Classification of texts that have any number of labels, or none."""
import collections
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import numpy as np

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation.downstream import multilabel
from lmjax.models.heads import paired
from lmjax.models.heads import pooled
from lmjax.objectives import labels as objective_lib
from lmjax.objectives import several_labels
from lmjax.tasks.baselines import classes as baselines_lib
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks.readers.texts import labels as labels_lib
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class Metrics:
  """The evaluation: micro- and macro-F1 and exact matches, with baselines.

  Attributes:
    baselines: Names in `baselines.BASELINES`, each fitted to the training split
      for each label by itself.
  """
  baselines: tuple[str, ...] = ('majority', 'naive_bayes')

  def __post_init__(self):
    baselines_lib.check(self.baselines, baselines_lib.BASELINES)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Multilabel:
  """Texts with any number of labels, such as topics; a `task.Task`.

  Attributes:
    source: The source of the examples. Their labels are one text each, such as
      'sports|money'.
    separator: What stands between labels.
    none: The label of texts that have none.
    threshold: The probability from which on a label is predicted; None chooses
      it on the validation split, once training is over, for the highest
      micro-F1. Until then it is 0.5.
    features: How texts become rows.
    head: The classifier on top of the backbone, with one output a label.
    objective: The objective to minimise.
    metrics: The evaluation.
  """
  source: labelled.Labelled
  separator: str = '|'
  none: str = 'none'
  threshold: ranges.ProperShare | None = None
  features: rows_lib.Features = rows_lib.Features()
  head: paired.Config = pooled.PooledConfig()
  objective: several_labels.SeveralLabels = several_labels.SeveralLabels()
  metrics: Metrics = Metrics()

  unit: ClassVar = 'texts'  # What the weight of the loss counts.

  def __post_init__(self):
    if not self.separator:
      raise errors.InputError(
          "task.separator should be what stands between labels, such as '|'; "
          'got an empty text.')

  @property
  def batch_size(self) -> int:
    return self.features.batch_size

  @property
  def longest(self) -> int:
    return self.features.longest

  def read(self) -> task_lib.Splits:
    """See `task.Task`.

    Raises:
      InputError: If there is no label, or a label of another split never occurs
        in training.
    """
    found = self.source.divided()
    counts = collections.Counter(
        name for e in found.train for name in self._names(e))
    labels = labels_lib.ordered(counts)
    if not labels:
      raise errors.InputError(
          f'All training examples have the label {self.none!r}, which stands '
          'for none.')
    for name, split in ('valid', found.valid), ('test', found.test):
      for example in split:
        labelled.check_labels(
            name, [example._replace(label=each)
                   for each in self._names(example)], labels)
    mean = sum(counts.values()) / len(found.train)
    told = labels_lib.told(counts.elements())
    return task_lib.Splits(
        found.train, found.valid, found.test, labels,
        (f'{told[:-1]}; {mean:.2f} a text on average.', *found.notes),
        len(found.test[0].texts))

  def texts(self, examples: Sequence[task_lib.Example]) -> Iterable[str]:
    """See `task.Task`."""
    return (text for e in examples for text in self.features.spelled(e.texts))

  def rows(self, examples: Sequence[task_lib.Example],
           splits: task_lib.Splits, tokenizer: tokenizer_lib.Tokenizer
           ) -> rows_lib.Rows:
    """Returns the rows of texts, with labels [examples, C] of 0 and 1.

    Raises:
      InputError: If an example has a label that is not in the splits.
    """
    labels_NC = np.zeros((len(examples), len(splits.labels)), np.int32)
    place = {label: i for i, label in enumerate(splits.labels)}
    for row, example in enumerate(examples):
      for name in self._names(example):
        labels_lib.check(name, splits.labels, example.where)
        labels_NC[row, place[name]] = 1
    return self.features.build(
        [e.texts for e in examples], labels_NC, tokenizer)

  def model(self, backbone: Any, splits: task_lib.Splits) -> nn.Module:
    """See `task.Task`."""
    return self.head.build(
        backbone, len(splits.labels), 'labels', texts=splits.texts)

  def loss(self, model: nn.Module) -> objective_lib.Objective:
    """See `task.Task`."""
    return self.objective.build(model)

  def outputs(self, model: nn.Module) -> Callable[[Any, Any], Any]:
    """Returns a function that returns `logits_BC`, the log-odds of labels."""
    return lambda params, batch: objective_lib.logits(model, params, batch)

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Any,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits with the threshold of the highest micro-F1."""
    if self.threshold is not None:
      return splits
    return dataclasses.replace(splits, thresholds=(multilabel.best_threshold(
        np.stack(outputs()), rows.by_row['labels'] > 0),))

  def judge(self, outputs: Sequence[np.ndarray],
            examples: Sequence[task_lib.Example], rows: rows_lib.Rows,
            splits: task_lib.Splits) -> multilabel.Multilabel:
    """Returns loss in nats, micro- and macro-F1, and exact matches."""
    del examples
    return multilabel.Multilabel(
        splits.labels, rows.by_row['labels'] > 0,
        np.stack(outputs).astype(np.float64), self._threshold(splits))

  def answers(self, outputs: Sequence[np.ndarray],
              examples: Sequence[task_lib.Example], rows: rows_lib.Rows,
              splits: task_lib.Splits) -> Iterator[dict[str, Any]]:
    """Yields texts with the list of predicted labels, and probabilities."""
    del rows
    for example, logits_C in zip(examples, outputs):
      logits_C = np.asarray(logits_C, np.float64)
      said_C = multilabel.chosen(logits_C, self._threshold(splits))
      yield task_lib.shown(example) | {
          'predicted': [name for name, said in zip(splits.labels, said_C)
                        if said],
          'probabilities': {
              name: round(share, 6) for name, share in zip(
                  splits.labels, np.exp(-np.logaddexp(0, -logits_C)).tolist())}}

  def baselines(self, splits: task_lib.Splits, rows: rows_lib.Rows
                ) -> dict[str, multilabel.Multilabel]:
    """Returns results of the baselines, fitted for each label by itself."""
    texts, out = [' '.join(e.texts) for e in splits.test], {}
    for name in self.metrics.baselines:
      kind, logits = baselines_lib.BASELINES[name], []
      for label in splits.labels:
        binary = lambda split, label=label: [
            e._replace(label=label in self._names(e)) for e in split]
        fitted = kind.fit(
            binary(splits.train), (False, True), binary(splits.valid))
        no_N, yes_N = fitted(texts).T
        logits.append(yes_N - no_N)
      out[kind.name] = multilabel.Multilabel(
          splits.labels, rows.by_row['labels'] > 0, np.stack(logits, axis=1))
    return out

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[task_lib.Example]:
    """See `task.Task`."""
    return [task_lib.example(texts, where, label)]

  def _names(self, example: task_lib.Example) -> list[str]:
    """Returns the labels of an example; none if they are not known."""
    if example.label is None or example.label.strip() == self.none:
      return []
    names = [name.strip() for name in example.label.split(self.separator)]
    if not all(names):
      raise errors.InputError(
          f'{example.where}: the labels {example.label!r} have an empty one '
          f'between separators {self.separator!r}; remove it.')
    return list(dict.fromkeys(names))

  def _threshold(self, splits: task_lib.Splits) -> float:
    if self.threshold is not None:
      return self.threshold
    return splits.thresholds[0] if splits.thresholds else 0.5
