"""Baselines of retrieval: BM25, which compares words."""
import collections
from collections.abc import Sequence
import dataclasses
import math
from typing import ClassVar

import numpy as np

from lmjax.tasks.baselines.linear import bags

_SATURATION, _LENGTH = 1.2, 0.75  # k1 and b, the usual values.


@dataclasses.dataclass(frozen=True)
class BM25:
  """Scores texts by the words that they share with a query.

  With f the count of word w in text d, |d| its length, l the mean length, M
  texts of which n_w have the word, and each distinct word of the query,

    sum over w of log(1 + (M - n_w + 0.5) / (n_w + 0.5))
        f (k1 + 1) / (f + k1 (1 - b + b |d| / l)).

  Attributes:
    weights: For each word, the indices of the texts that have it and its
      weight in them.
    texts: M, the number of texts.

  References:
    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and
    Beyond, 2009, eq. 3.15; the logarithm as in Lucene, which is never negative.
  """
  weights: dict[str, tuple[np.ndarray, np.ndarray]]
  texts: int
  name: ClassVar[str] = 'BM25'

  @classmethod
  def fit(cls, texts: Sequence[str]) -> 'BM25':
    """Indexes the texts to search."""
    found, sizes = collections.defaultdict(list), []
    for place, text in enumerate(texts):
      words = bags.words(text)
      sizes.append(len(words))
      for word, count in collections.Counter(words).items():
        found[word].append((place, count))
    relative_M = np.array(sizes) / max(np.mean(sizes), 1e-9)
    weights = {}
    for word, pairs in found.items():
      places, counts = np.array(pairs).T
      rarity = math.log1p(
          (len(texts) - len(pairs) + 0.5) / (len(pairs) + 0.5))
      weights[word] = places, rarity * counts * (_SATURATION + 1) / (
          counts + _SATURATION * (1 - _LENGTH + _LENGTH * relative_M[places]))
    return cls(weights, len(texts))

  def __call__(self, queries: Sequence[str]) -> np.ndarray:
    """Returns the score of each text for each query, [queries, M]."""
    scores = np.zeros((len(queries), self.texts))
    for row, query in zip(scores, queries):
      for word in set(bags.words(query)):
        if word in self.weights:
          places, weights = self.weights[word]
          row[places] += weights
    return scores


BASELINES = {'bm25': BM25}
