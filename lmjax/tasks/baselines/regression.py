"""Baselines of regression: the training mean, and ridge regression."""
import collections
from collections.abc import Mapping, Sequence
import dataclasses
from typing import ClassVar

import numpy as np

from lmjax.tasks.baselines.linear import bags
from lmjax.tasks import task as task_lib

_WORDS = 1000  # Number of most frequent training words, for single texts.
_PENALTIES = 10.0 ** np.arange(-2, 5.5, 0.5)


@dataclasses.dataclass(frozen=True)
class Mean:
  """Predicts the mean of the training labels."""
  value: float
  name: ClassVar[str] = 'mean'

  @classmethod
  def fit(cls, examples: Sequence[task_lib.Example], labels_N: np.ndarray
          ) -> 'Mean':
    """Averages the labels."""
    del examples
    return cls(float(labels_N.mean()))

  def __call__(self, examples: Sequence[task_lib.Example]) -> np.ndarray:
    """Returns a number an example."""
    return np.full(len(examples), self.value)


@dataclasses.dataclass(frozen=True)
class Ridge:
  """Ridge regression on the words of a text, or on the overlap of a pair.

  The features of a single text are log(1 + count) of the most frequent training
  words; the features of a pair are `overlaps`. With standardised features X
  [N, F] and centred labels y, the weights are

    w = (X^T X + a I)^-1 X^T y.

  Generalised cross-validation chooses the penalty a that minimises

    |y - X w|^2 / (N - 1 - the trace of X (X^T X + a I)^-1 X^T)^2.

  Attributes:
    vocabulary: The index of each word that is counted; empty for pairs.
    centre_F: Mean of each feature in training.
    scale_F: Standard deviation of each feature in training.
    weights_F: The weights w.
    mean: Mean of the training labels.

  References:
    Hoerl and Kennard, Ridge Regression, 1970. Golub, Heath and Wahba,
    Generalized Cross-Validation as a Method for Choosing a Good Ridge
    Parameter, 1979.
  """
  vocabulary: dict[str, int]
  centre_F: np.ndarray
  scale_F: np.ndarray
  weights_F: np.ndarray
  mean: float
  name: ClassVar[str] = 'ridge regression'

  @classmethod
  def fit(cls, examples: Sequence[task_lib.Example], labels_N: np.ndarray
          ) -> 'Ridge':
    """Fits the weights, and the penalty, to the training examples."""
    vocabulary = {}
    if len(examples[0].texts) == 1:
      counts = collections.Counter(
          word for example in examples
          for word in bags.words(example.text))
      vocabulary = {word: place for place, (word, _) in enumerate(
          counts.most_common(_WORDS))}
    x_NF = _features(examples, vocabulary)
    centre_F, scale_F = x_NF.mean(axis=0), x_NF.std(axis=0)
    scale_F[scale_F == 0] = 1.0
    mean = float(labels_N.mean())
    weights_F = solve((x_NF - centre_F) / scale_F, labels_N - mean)
    return cls(vocabulary, centre_F, scale_F, weights_F, mean)

  def arrays(self) -> dict[str, np.ndarray]:
    """Returns all that defines the model, by name; `of` reads it back."""
    return {'vocabulary': bags.packed(self.vocabulary),
            'centre': self.centre_F, 'scale': self.scale_F,
            'weights': self.weights_F, 'mean': np.array(self.mean)}

  @classmethod
  def of(cls, arrays: Mapping[str, np.ndarray]) -> 'Ridge':
    """Returns the model that `arrays` described.

    Raises:
      ValueError: If an array is missing, or shapes do not fit.
    """
    names = 'vocabulary', 'centre', 'scale', 'weights', 'mean'
    if missing := sorted(set(names) - set(arrays)):
      raise ValueError(f'{missing} are missing')
    words, *by_feature, mean = (arrays[name] for name in names)
    found = cls({word: i for i, word in enumerate(bags.unpacked(words))},
                *by_feature, float(mean))
    count = len(found.vocabulary) or len(overlaps('', ''))
    for name, array in zip(names[1:-1], by_feature):
      if array.shape != (count,):
        raise ValueError(f'{name} {array.shape} does not fit {count} features')
    return found

  def __call__(self, examples: Sequence[task_lib.Example]) -> np.ndarray:
    """Returns a number an example."""
    x_NF = _features(examples, self.vocabulary)
    return (x_NF - self.centre_F) / self.scale_F @ self.weights_F + self.mean


BASELINES = {'mean': Mean, 'ridge': Ridge}


def solve(x_NF: np.ndarray, y_N: np.ndarray) -> np.ndarray:
  """Returns the weights w of `Ridge`, [F], for centred features and labels."""
  squares_F, axes_FF = np.linalg.eigh(x_NF.T @ x_NF)
  squares_F = np.maximum(squares_F, 0.0)
  z_F = axes_FF.T @ (x_NF.T @ y_N)
  best = None
  for penalty in _PENALTIES:
    shrunk_F = squares_F + penalty
    left = y_N @ y_N - np.sum(z_F**2 * (shrunk_F + penalty) / shrunk_F**2)
    free = len(y_N) - 1 - np.sum(squares_F / shrunk_F)
    score = max(left, 0.0) / max(free, 1e-9)**2
    if best is None or score < best[0]:
      best = score, axes_FF @ (z_F / shrunk_F)
  return best[1]


def overlaps(first: str, second: str) -> list[float]:
  """Returns features of the overlap of two texts, numbers in [0, 1].

  There are three features for each of three kinds of sets: words, pairs of
  neighbouring words, and character trigrams. With A and B the sets of the two
  texts, they are 2 |A & B| / (|A| + |B|), |A & B| / |A| and |A & B| / |B|. The
  last feature is the difference of the lengths in words, over their sum.
  """
  out, words = [], [bags.words(text) for text in (first, second)]
  lines = [' '.join(each) for each in words]
  for sequences, n in (words, 1), (words, 2), (lines, 3):
    a, b = ({tuple(each[i:i + n]) for i in range(len(each) - n + 1)}
            for each in sequences)
    shared = len(a & b)
    out += [2 * shared / max(len(a) + len(b), 1), shared / max(len(a), 1),
            shared / max(len(b), 1)]
  a, b = map(len, words)
  return out + [abs(a - b) / max(a + b, 1)]


def _features(examples: Sequence[task_lib.Example],
              vocabulary: dict[str, int]) -> np.ndarray:
  """Returns the features of each example, [N, F]."""
  if len(examples[0].texts) > 1:
    return np.array([overlaps(*example.texts) for example in examples])
  counts = np.zeros((len(examples), len(vocabulary)))
  for row, example in zip(counts, examples):
    for word in bags.words(example.text):
      if word in vocabulary:
        row[vocabulary[word]] += 1
  return np.log1p(counts)
