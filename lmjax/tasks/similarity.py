"""Similarity: the cosine of the vectors of two texts matches a score."""
from collections.abc import Callable, Iterable, Iterator, Sequence
import dataclasses
from typing import Any, ClassVar

import numpy as np

from lmjax.core import errors
from lmjax.data.tokenizers import tokenizer as tokenizer_lib
from lmjax.evaluation.downstream import regression as results
from lmjax.models.heads import vectors
from lmjax.objectives import similarity as objectives
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import regression
from lmjax.tasks import rows as rows_lib
from lmjax.tasks import separate
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class Similarity:
  """Scores of pairs of texts, each read alone; a `task.Task`.

  A score is a line through the cosine: a cosine of 0 is the lowest label of
  training, and 1 the highest. So the vectors of a fine-tuned run can be stored
  and compared by their cosines (`experiments/embed.py`).

  Attributes:
    source: The source of the pairs; labels are numbers such as '3.8'.
    features: How each text becomes a row.
    head: How a text becomes a vector.
    objective: The objective to minimise.
    metrics: The evaluation of the scores.
  """
  source: labelled.Labelled
  features: rows_lib.Features = rows_lib.Features()
  head: vectors.VectorsConfig = vectors.VectorsConfig()
  objective: objectives.CosineError | objectives.CoSENT = objectives.CoSENT()
  metrics: regression.Metrics = regression.Metrics()

  unit: ClassVar = 'pairs'  # What the weight of the loss counts.

  @property
  def batch_size(self) -> int:
    return self.features.batch_size

  @property
  def longest(self) -> int:
    return self.features.longest

  def read(self) -> task_lib.Splits:
    """Returns the pairs; `scale` is the lowest label and the range of labels.

    Raises:
      InputError: If examples are no pairs, a label is not a finite number, or
        all training labels are equal.
    """
    found = self._regression.read()
    if found.texts != 2:
      raise errors.InputError(
          'Similarity compares the texts of a pair, and examples have '
          f'{found.texts}: name the column of the second text with '
          '--config.task.source.train.second=...')
    labels_N = regression.numbers(found.train)
    low, high = float(labels_N.min()), float(labels_N.max())
    return dataclasses.replace(found, scale=(low, high - low))

  def texts(self, examples: Sequence[task_lib.Example]) -> Iterable[str]:
    """See `task.Task`."""
    return (self.features.prefix + text for e in examples for text in e.texts)

  def rows(self, examples: Sequence[task_lib.Example],
           splits: task_lib.Splits, tokenizer: tokenizer_lib.Tokenizer
           ) -> separate.SeparateRows:
    """Returns the rows of both texts, with labels from 0 to 1.

    Raises:
      InputError: If a label is not a finite number, or a text has no tokens.
    """
    low, span = splits.scale
    labels_N = (regression.numbers(examples, unknown=low) - low) / span
    return separate.build(
        self.features, separate.pairs(examples), tokenizer,
        {'labels': labels_N.astype(np.float32)})

  def model(self, backbone: Any, splits: task_lib.Splits) -> vectors.Vectors:
    """See `task.Task`."""
    del splits
    return self.head.build(backbone)

  def loss(self, model: vectors.Vectors) -> objectives.Objective:
    """See `task.Task`."""
    return self.objective.build(model)

  def outputs(self, model: vectors.Vectors) -> Callable[[Any, Any], Any]:
    """Returns a function that returns the cosine of each pair, [B]."""
    return lambda params, batch: objectives.cosines(model, params, batch)

  def settled(self, outputs: Callable[[], Sequence[Any]], rows: Any,
              splits: task_lib.Splits) -> task_lib.Splits:
    """Returns the splits, as there is no threshold; see `task.Task`."""
    return self._regression.settled(outputs, rows, splits)

  def judge(self, outputs: Sequence[np.ndarray],
            examples: Sequence[task_lib.Example], rows: Any,
            splits: task_lib.Splits) -> results.Regression:
    """Returns correlations and squared errors in the unit of the labels.

    The loss is the mean squared error of cosines from scaled labels.
    """
    return self._regression.judge(outputs, examples, rows, splits)

  def answers(self, outputs: Sequence[np.ndarray],
              examples: Sequence[task_lib.Example], rows: Any,
              splits: task_lib.Splits) -> Iterator[dict[str, Any]]:
    """Yields the pairs with their cosine, and the score that it stands for."""
    for answer, cosine in zip(self._regression.answers(
        outputs, examples, rows, splits), outputs):
      yield answer | {'cosine': round(float(cosine), 6)}

  def baselines(self, splits: task_lib.Splits, rows: Any
                ) -> dict[str, results.Regression]:
    """Returns results of the baselines, fitted to the training split."""
    return self._regression.baselines(splits, rows)

  def examples(self, texts: Sequence[str], where: str,
               label: str | None = None) -> list[task_lib.Example]:
    """See `task.Task`."""
    return [task_lib.example(texts, where, label)]

  @property
  def _regression(self) -> regression.Regression:
    """The regression whose numbers are `scale[0] + scale[1] * output`."""
    return regression.Regression(self.source, metrics=self.metrics)
