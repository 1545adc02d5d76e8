"""Logistic regression on bags of n-grams, regularised on held-out texts."""
from collections.abc import Mapping, Sequence
import dataclasses
from typing import Any, ClassVar

import numpy as np

from lmjax.tasks.baselines.linear import bags as bags_lib
from lmjax.tasks import task as task_lib

_STRENGTHS = 1.0, 4.0, 16.0, 64.0  # Of the fit, against that of the penalty.
_USUAL = 4.0
_MOST_WEIGHTS = 2**22
_MOST_NGRAMS = 2**16  # Of words, and of characters.
_ITERATIONS = 25


@dataclasses.dataclass(frozen=True)
class Logistic:
  """Softmax regression on words, pairs of words and character n-grams.

  With x the vector of a text (see `bags.Bags`) and S a strength, it minimises

    |W|^2 / 2 - S sum over texts of log p(y | x),  p = softmax(x W + b).

  The strength grows from 1 by factors of 4 for as long as that leads to no
  more errors on the validation texts.

  Attributes:
    bags: Turns texts into vectors.
    weights_FC: W.
    bias_C: b.
    strength: S.

  References:
    Wang and Manning, Baselines and Bigrams, 2012. Joulin et al., Bag of Tricks
    for Efficient Text Classification, arXiv:1607.01759 (the same model with
    vectors between words and classes).
  """
  bags: bags_lib.Bags
  weights_FC: np.ndarray
  bias_C: np.ndarray
  strength: float
  name: ClassVar[str] = 'linear'

  @classmethod
  def fit(cls, examples: Sequence[task_lib.Example], labels: Sequence[str],
          valid: Sequence[task_lib.Example] = ()) -> 'Logistic':
    """Fits the training examples.

    Args:
      examples: The training examples.
      labels: The names of the C classes.
      valid: The examples that choose the strength; without any, it is 4.
    """
    texts = [' '.join(e.texts) for e in examples]
    bags = bags_lib.Bags.fit(texts, most=min(
        _MOST_NGRAMS, _MOST_WEIGHTS // (2 * len(labels))))
    x_NF, targets_N = bags(texts), task_lib.targets(examples, labels)
    start = np.zeros((bags.size + 1, len(labels)), np.float32)
    if not len(valid):
      weights = _fitted(x_NF, targets_N, _USUAL, start)
      return cls(bags, weights[:-1], weights[-1], _USUAL)
    found, fewest = None, len(valid) + 1
    held, held_N = [' '.join(e.texts) for e in valid], task_lib.targets(
        valid, labels)
    held_NF = bags(held)
    for strength in _STRENGTHS:
      start = weights = _fitted(x_NF, targets_N, strength, start)
      logits_NC = held_NF @ weights[:-1] + weights[-1]
      errors = np.sum(logits_NC.argmax(axis=1) != held_N)
      if errors > fewest:
        break  # Stronger fits only learn more of the training texts by heart.
      if errors < fewest:
        fewest = errors
        found = cls(bags, weights[:-1], weights[-1], strength)
    return found

  def arrays(self) -> dict[str, np.ndarray]:
    """Returns all that defines the model, by name; `of` reads it back."""
    return self.bags.arrays() | {
        'weights': self.weights_FC, 'bias': self.bias_C,
        'strength': np.array(self.strength)}

  @classmethod
  def of(cls, arrays: Mapping[str, np.ndarray]) -> 'Logistic':
    """Returns the model that `arrays` described.

    Raises:
      ValueError: If an array is missing, or shapes do not fit.
    """
    bags = bags_lib.Bags.of(arrays)
    if any(name not in arrays for name in ('weights', 'bias', 'strength')):
      raise ValueError(f'it holds {sorted(arrays)}')
    found = cls(bags, arrays['weights'], arrays['bias'],
                float(arrays['strength']))
    if found.weights_FC.shape != (bags.size, len(found.bias_C)):
      raise ValueError(
          f'weights {found.weights_FC.shape} do not fit {bags.size} features '
          f'and {len(found.bias_C)} classes')
    return found

  def __call__(self, texts: Sequence[str]) -> np.ndarray:
    """Returns unnormalised log-probabilities [texts, C]."""
    return np.asarray(self.bags(texts) @ self.weights_FC + self.bias_C,
                      np.float64)


def _fitted(x_NF: Any, targets_N: np.ndarray, strength: float,
            start: np.ndarray) -> np.ndarray:
  """Returns the fitted weights, [F + 1, C]; the last row is the bias."""
  from scipy import optimize  # Slow to import, and only needed here.
  number, shape = len(targets_N), start.shape
  rows, x_FN = np.arange(number), x_NF.T.tocsr()

  def loss(flat):
    weights = flat.reshape(shape).astype(np.float32)
    logits = x_NF @ weights[:-1] + weights[-1]
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits)
    sums = shares.sum(axis=1, keepdims=True)
    nll = np.log(sums[:, 0]) - logits[rows, targets_N]
    shares /= sums
    shares[rows, targets_N] -= 1
    grads = np.concatenate([
        strength * (x_FN @ shares) + weights[:-1],
        strength * shares.sum(axis=0, keepdims=True)])
    value = strength * nll.sum(dtype=np.float64) + 0.5 * np.sum(
        np.square(weights[:-1]), dtype=np.float64)
    return value / number, grads.ravel().astype(np.float64) / number

  found = optimize.minimize(
      loss, start.ravel().astype(np.float64), jac=True, method='L-BFGS-B',
      options={'maxiter': _ITERATIONS, 'maxcor': 5, 'ftol': 1e-5})
  return found.x.reshape(shape).astype(np.float32)
