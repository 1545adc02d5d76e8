"""Baselines of classification: majority, naive Bayes, logistic regression."""
from collections.abc import Mapping, Sequence
import dataclasses
from typing import ClassVar

import numpy as np

from lmjax.core import config
from lmjax.core import errors
from lmjax.tasks.baselines.linear import bags
from lmjax.tasks.baselines.linear import logistic
from lmjax.tasks import task as task_lib

@dataclasses.dataclass(frozen=True)
class Majority:
  """Predicts each class with its frequency in training.

  Attributes:
    log_prior: Logarithm of the frequency of each class in training, [C].
  """
  log_prior: np.ndarray
  name: ClassVar[str] = 'majority'

  @classmethod
  def fit(cls, examples: Sequence[task_lib.Example],
          labels: Sequence[str], valid: Sequence[task_lib.Example] = ()
          ) -> 'Majority':
    """Counts the classes of training; `valid` is unused."""
    del valid
    return cls(_log_prior(task_lib.targets(examples, labels), len(labels)))

  def __call__(self, texts: Sequence[str]) -> np.ndarray:
    """Returns log-probabilities [texts, C]."""
    return np.tile(self.log_prior, (len(texts), 1))


@dataclasses.dataclass(frozen=True)
class NaiveBayes:
  """Multinomial naive Bayes over words and pairs of neighbouring words.

  With counts c(w, y) of features in the texts of class y and V distinct
  features, log p(y | x) is, up to a constant,

    log p(y) + sum over w in x of log (c(w, y) + a) / (c(y) + a V).

  Features that are not in training are ignored.

  Attributes:
    vocabulary: The index of each feature.
    log_prior: Log probability of each class, [C].
    log_likelihood: Log probability of each feature given the class, [V, C].
    ngrams: 1 for words only, 2 for pairs of words as well.

  References:
    McCallum and Nigam, A Comparison of Event Models for Naive Bayes Text
    Classification, 1998. Wang and Manning, Baselines and Bigrams, 2012.
  """
  vocabulary: dict[str, int]
  log_prior: np.ndarray
  log_likelihood: np.ndarray
  ngrams: int = 2
  name: ClassVar[str] = 'naive Bayes'

  @classmethod
  def fit(cls, examples: Sequence[task_lib.Example], labels: Sequence[str],
          valid: Sequence[task_lib.Example] = (), *, ngrams: int = 2,
          smoothing: float = 1.0) -> 'NaiveBayes':
    """Counts the training examples; `smoothing` is the a of the equation."""
    del valid  # There is nothing to choose.
    vocabulary, where, of = {}, [], []
    targets = task_lib.targets(examples, labels)
    for example, target in zip(examples, targets):
      found = [vocabulary.setdefault(feature, len(vocabulary))
               for feature in _features(' '.join(example.texts), ngrams)]
      where += found
      of += [target] * len(found)
    counts = np.zeros((max(len(vocabulary), 1), len(labels)))
    np.add.at(counts, (np.array(where, int), np.array(of, int)), 1.0)
    counts += smoothing
    return cls(vocabulary, _log_prior(targets, len(labels)),
               np.log(counts / counts.sum(axis=0)[None]), ngrams)

  def __call__(self, texts: Sequence[str]) -> np.ndarray:
    """Returns unnormalised log-probabilities [texts, C]."""
    out = np.tile(self.log_prior, (len(texts), 1))
    for i, text in enumerate(texts):
      known = [self.vocabulary[f] for f in _features(text, self.ngrams)
               if f in self.vocabulary]
      out[i] += self.log_likelihood[known].sum(axis=0)
    return out


BASELINES = {'linear': logistic.Logistic, 'majority': Majority,
             'naive_bayes': NaiveBayes}


def check(names: Sequence[str], table: Mapping[str, type]) -> None:
  """Raises InputError if a name in `metrics.baselines` is not in the table."""
  for name in names:
    if name not in table:
      raise errors.InputError(
          f'metrics.baselines has {name!r}; choose from {sorted(table)}.'
          f'{config.near(name, table)}')


def _features(text: str, ngrams: int) -> list[str]:
  single = bags.words(text)
  features = list(single)
  for n in range(2, ngrams + 1):
    features += [
        ' '.join(single[i:i + n]) for i in range(len(single) - n + 1)]
  return features


def _log_prior(targets: np.ndarray, classes: int) -> np.ndarray:
  counts = np.bincount(targets, minlength=classes)
  return np.log(np.maximum(counts, 1e-9) / len(targets))
