"""Baselines of choices: the most frequent position, and the longest option."""
from collections.abc import Sequence
import dataclasses
from typing import ClassVar

import numpy as np

from lmjax.tasks.answering import alternatives


@dataclasses.dataclass(frozen=True)
class Position:
  """Chooses each position with its frequency in training.

  Attributes:
    counts_K: How often the option at each position is right in training.
  """
  counts_K: np.ndarray
  name: ClassVar[str] = 'most frequent position'
  has_loss: ClassVar[bool] = True

  @classmethod
  def fit(cls, examples: Sequence[alternatives.Question]) -> 'Position':
    """Counts the positions of right options."""
    golds = [example.gold for example in examples]
    return cls(np.bincount(np.array(golds, int)))

  def __call__(self, example: alternatives.Question) -> np.ndarray:
    """Returns a logit for each option; a position never seen counts as one
    half."""
    counts_K = np.full(len(example.options), 0.5)
    known = self.counts_K[:len(counts_K)]
    counts_K[:len(known)] = np.maximum(known, 0.5)
    return np.log(counts_K)


@dataclasses.dataclass(frozen=True)
class Longest:
  """Chooses the option with the most characters."""
  name: ClassVar[str] = 'longest option'
  has_loss: ClassVar[bool] = False

  @classmethod
  def fit(cls, examples: Sequence[alternatives.Question]) -> 'Longest':
    """Needs no training."""
    del examples
    return cls()

  def __call__(self, example: alternatives.Question) -> np.ndarray:
    """Returns the length of each option, which options of a length share."""
    return np.array([float(len(text)) for text in example.told_apart_by])


BASELINES = {'position': Position, 'longest': Longest}
