"""Scores of words with one class each, such as parts of speech."""
from collections.abc import Callable, Mapping, Sequence
import dataclasses
import functools
import os
from typing import Any

import numpy as np

from lmjax.evaluation.downstream import classification
from lmjax.evaluation.downstream.tags import tag_errors
from lmjax.evaluation.downstream.tags import tagging
from lmjax.evaluation import estimates


@dataclasses.dataclass(frozen=True)
class WordClasses:
  """Compares predicted classes of words with true ones in N sentences.

  Standard errors are the jackknife's, for independent sentences.

  Attributes:
    words: Predicted and true classes of all words.
    wrong: A table of the words that are most often wrong, by heading.
    counts_NC3: Number of words of each class, of words predicted as it, and of
      correct ones, in each sentence.
    loss: Mean negative log-likelihood of a word's class in nats; None if there
      are no probabilities.
  """
  words: classification.Classification
  wrong: Mapping[str, tag_errors.Table]
  counts_NC3: np.ndarray
  loss: estimates.Estimate | None = None

  @classmethod
  def of(cls, true: Sequence[Sequence[str]],
         predicted: Sequence[Sequence[str]], names: Sequence[str],
         nll: Sequence[float] | None = None,
         scored: Sequence[int] | None = None,
         texts: Sequence[Sequence[str]] | None = None) -> 'WordClasses':
    """Counts words; see `tagging.Tagging.of`."""
    tagging.check(true, predicted)
    names = tagging.all_names(true, predicted, names)
    place = {name: i for i, name in enumerate(names)}
    counts_NC3 = np.zeros((len(true), len(names), 3), int)
    for sentence, (wanted, found) in enumerate(zip(true, predicted)):
      for mine, theirs in zip(wanted, found):
        counts_NC3[sentence, place[mine], 0] += 1
        counts_NC3[sentence, place[theirs], 1] += 1
        counts_NC3[sentence, place[mine], 2] += mine == theirs
    flat = lambda x: [place[tag] for tags in x for tag in tags]
    return cls(
        classification.Classification.of(flat(true), flat(predicted), names),
        tag_errors.words(true, predicted, texts), counts_NC3,
        None if nll is None else tagging.loss(nll, scored))

  @property
  def examples(self) -> int:
    """Number of sentences."""
    return len(self.counts_NC3)

  @functools.cached_property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """Accuracy, macro-F1, and the loss if known."""
    there_N, _, right_N = self.counts_NC3.sum(axis=1).T
    total_C3 = self.counts_NC3.sum(axis=0)
    macro_f1 = estimates.jackknife(
        float(_macro_f1(total_C3[None])[0]),
        _macro_f1(total_C3[None] - self.counts_NC3))
    loss = {} if self.loss is None else {'loss': self.loss}
    return {'accuracy': estimates.ratio(right_N, there_N),
            'macro_f1': macro_f1} | loss

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns {title: a function that draws the confusion matrix}."""
    return {'Confusion': lambda path, title: classification.plot(
        path, self.words, title, 'words')}

  def tables(self) -> dict[str, Any]:
    """Returns the table of words that are often wrong."""
    return dict(self.wrong)

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""
    words = self.words.to_dict()
    return {
        'examples': self.examples, 'words': self.words.examples,
        **estimates.to_dict(self.metrics), 'classes': words['classes'],
        'confusion': words['confusion']}


def _macro_f1(counts_NC3: np.ndarray) -> np.ndarray:
  """Returns the mean F1 of the classes that occur, [N]; 0 without any."""
  there_NC, found_NC, right_NC = np.moveaxis(counts_NC3, 2, 0)
  sizes_NC = there_NC + found_NC
  f1_NC = 2 * right_NC / np.maximum(sizes_NC, 1)
  return f1_NC.sum(axis=1) / np.maximum((sizes_NC > 0).sum(axis=1), 1)
