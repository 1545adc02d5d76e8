"""Results of choices between options: accuracy, and where they err."""
from collections.abc import Callable, Sequence
import dataclasses
import os
from typing import Any

import numpy as np

from lmjax.evaluation import estimates

_WORST = 20  # Examples in the table of errors.
_LONGEST = 120  # Characters of a text there.


@dataclasses.dataclass(frozen=True)
class Chosen:
  """The options that were chosen for N questions.

  Attributes:
    golds_N: Index of the right option.
    options_N: Number of options.
    shares_NK: Probability of each option, 0 for those that do not exist.
    names: The context and the options of each question, for the table.
    has_loss: Whether the probabilities are meant as such.
  """
  golds_N: np.ndarray
  options_N: np.ndarray
  shares_NK: np.ndarray
  names: Sequence[tuple[str, Sequence[str]]] = ()
  has_loss: bool = True

  @classmethod
  def of(cls, golds: Sequence[int], scores: Sequence[np.ndarray],
         names: Sequence[tuple[str, Sequence[str]]] = (),
         has_loss: bool = True) -> 'Chosen':
    """Returns the result of scores.

    Args:
      golds: Index of the right option of each question.
      scores: The score of each option, a logit, one array a question.
      names: See `Chosen`.
      has_loss: See `Chosen`.
    """
    options_N = np.array([len(each) for each in scores])
    shares_NK = np.zeros((len(scores), options_N.max()))
    for row, each in zip(shares_NK, scores):
      each = np.exp(np.asarray(each, np.float64) - np.max(each))
      row[:len(each)] = each / each.sum()
    return cls(np.array(golds, int), options_N, shares_NK, names, has_loss)

  @property
  def examples(self) -> int:
    """Number of questions."""
    return len(self.golds_N)

  @property
  def chosen_N(self) -> np.ndarray:
    """Index of the most probable option, the first of those that tie."""
    return self.shares_NK.argmax(axis=1)

  @property
  def credits_N(self) -> np.ndarray:
    """1 for a right choice, 0 for a wrong one; options that tie share it."""
    best_NK = self.shares_NK == self.shares_NK.max(axis=1, keepdims=True)
    right_N = best_NK[np.arange(self.examples), self.golds_N]
    return right_N / best_NK.sum(axis=1)

  @property
  def nats_N(self) -> np.ndarray:
    """The loss of the right option."""
    shares_N = self.shares_NK[np.arange(self.examples), self.golds_N]
    return -np.log(np.maximum(shares_N, 1e-30))

  @property
  def metrics(self) -> dict[str, estimates.Estimate]:
    """The loss, if there is one, and the accuracy, with standard errors."""
    loss = {'loss': estimates.mean(self.nats_N)} if self.has_loss else {}
    return loss | {'accuracy': estimates.mean(self.credits_N)}

  def pictures(self) -> dict[str, Callable[[str | os.PathLike, str], None]]:
    """Returns no picture; see `task.Result`."""
    return {}

  def tables(self) -> dict[str, Any]:
    """Returns accuracies by position, and the errors of the highest loss."""
    found = {'Positions of options': (
        ('position', 'options', 'right', 'chosen', 'right and chosen'), [
            (str(place), f'{(self.options_N > place).sum():,}',
             *(f'{some_N.sum():,}' for some_N in (
                 self.golds_N == place, self.chosen_N == place,
                 (self.golds_N == place) & (self.chosen_N == place))))
            for place in range(self.shares_NK.shape[1])])}
    wrong = np.flatnonzero(self.chosen_N != self.golds_N)
    wrong = wrong[np.argsort(-self.nats_N[wrong], kind='stable')][:_WORST]
    if self.names and len(wrong):
      found['Worst errors'] = (('question', 'right', 'chosen', 'nats'), [
          (*(_short(text) for text in (
              self.names[i][0], self.names[i][1][self.golds_N[i]],
              self.names[i][1][self.chosen_N[i]])), f'{self.nats_N[i]:.2f}')
          for i in wrong])
    return found

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""
    return {'examples': self.examples,
            'chance': float(np.mean(1 / self.options_N))
            } | estimates.to_dict(self.metrics)


def _short(text: str) -> str:
  """Returns the end of a text, which is what an option continues."""
  return text if len(text) <= _LONGEST else '...' + text[-_LONGEST:]
