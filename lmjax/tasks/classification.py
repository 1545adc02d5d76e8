"""Classification: one label for each text, or each pair of texts."""
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
from typing import Any, ClassVar

import flax.linen as nn
import numpy as np

from lmjax.core import config
from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation.downstream import classification
from lmjax.models.heads import paired
from lmjax.models.heads import pooled
from lmjax.objectives import labels as labels_lib
from lmjax.tasks import baselines as baselines_lib
from lmjax.tasks import docstrings
from lmjax.tasks.readers import labelled
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import task as task_lib

Source = docstrings.Docstrings | labelled.Labelled


@dataclasses.dataclass(frozen=True)
class Metrics:
  """The evaluation of a classifier: accuracy and macro-F1, with baselines.

  Attributes:
    baselines: Names in `baselines.BASELINES`, fitted to the training split.
  """
  baselines: tuple[str, ...] = ('majority', 'naive_bayes', 'linear')

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
  """
  source: Source = docstrings.Docstrings()
  features: rows_lib.Features = rows_lib.Features()
  head: paired.Config = pooled.PooledConfig()
  objective: labels_lib.Labels = labels_lib.Labels()
  metrics: Metrics = Metrics()

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
    return splits

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
    return self.features.build(
        [e.texts for e in examples],
        np.array([place[e.label] for e in examples], np.int32), tokenizer)

  def model(self, backbone: Any, splits: task_lib.Splits) -> nn.Module:
    """See `task.Task`."""
    return self.head.build(
        backbone, len(splits.labels), texts=splits.texts)

  def loss(self, model: nn.Module) -> labels_lib.Objective:
    """See `task.Task`."""
    return self.objective.build(model)

  def outputs(self, model: nn.Module) -> Callable[[Any, Any], Any]:
    """Returns a function that returns `logits_BC`."""
    return lambda params, batch: labels_lib.logits(model, params, batch)

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Any,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits, as there is no threshold; see `task.Task`."""
    del outputs, rows
    return splits

  def judge(self, outputs: Sequence[np.ndarray],
            examples: Sequence[task_lib.Example], rows: rows_lib.Rows,
            splits: task_lib.Splits) -> classification.Classification:
    """Returns the mean loss in nats, accuracy, macro-F1 and confusions."""
    del examples
    return classification.Classification.of_logits(
        rows.by_row['labels'], np.stack(outputs), splits.labels)

  def answers(self, outputs: Sequence[np.ndarray],
              examples: Sequence[task_lib.Example], rows: rows_lib.Rows,
              splits: task_lib.Splits) -> Iterator[dict[str, Any]]:
    """Yields texts with the predicted class, probabilities and logits."""
    del rows
    for example, logits_C in zip(examples, outputs):
      logits_C = np.asarray(logits_C, np.float64)
      shares_C = np.exp(logits_C - logits_C.max())
      shares_C /= shares_C.sum()
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
      fitted = baselines_lib.BASELINES[name].fit(
          splits.train, splits.labels, splits.valid)
      out[fitted.name] = classification.Classification.of_logits(
          rows.by_row['labels'], fitted(texts), splits.labels)
    return out

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[task_lib.Example]:
    """See `task.Task`."""
    return [task_lib.example(texts, where, label)]
