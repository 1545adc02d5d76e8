"""Interpolation of scores in probability space, its weights by EM.

Scores may read a text in different ways: one in windows, another a state at a
time. So each first scores all of it as it likes, into a `Table`, and the tables
are mixed token by token.
"""
from collections.abc import Callable, Iterable, Sequence
import dataclasses

import numpy as np

from lmjax.core import errors
from lmjax.evaluation import likelihood


@dataclasses.dataclass(frozen=True)
class Table:
  """What a score gives every token of some documents but each one's first.

  It is itself a score, of those documents, however they are laid out.

  Attributes:
    nll: The loss of each token in nats, 1-D, document by document.
    correct: Whether each was the most probable token.
    offsets: Where each document begins in them, and the last ends.
  """
  nll: np.ndarray
  correct: np.ndarray
  offsets: np.ndarray

  fields = ('documents', 'places')  # What `likelihood.scored` hands over.

  def __call__(self, batch: likelihood.Batch):
    at = self.offsets[batch['documents']] + batch['places'] - 1
    at = np.clip(at, 0, len(self.nll) - 1)  # Where there is padding.
    return self.nll[at], self.correct[at]


def table(score: likelihood.Score, documents: Sequence[Sequence[int]],
          lay: Callable[..., Iterable[likelihood.Batch]]) -> Table:
  """Returns what a score gives the tokens of documents.

  Args:
    score: See `likelihood.evaluate`.
    documents: Token ids, document by document; read twice.
    lay: Lays them out as batches for this score, such as `carried.Windows`.

  Raises:
    InputError: If the score is none of probabilities.
  """
  if not getattr(score, 'normalised', True):
    raise errors.InputError(
        f'{score.name} gives scores that do not sum to one, so they cannot '
        'be mixed with probabilities; choose another smoothing.')
  offsets = np.cumsum([0] + [max(len(tokens) - 1, 0) for tokens in documents])
  nll, correct = np.full(offsets[-1], np.nan, np.float32), np.zeros(
      offsets[-1], bool)
  for batch, nll_BT, correct_BT in likelihood.scored(score, lay(documents)):
    counted_BT = batch['weights'] > 0
    at = (offsets[batch['documents'][counted_BT]]
          + batch['places'][counted_BT] - 1)
    nll[at], correct[at] = nll_BT[counted_BT], correct_BT[counted_BT]
  return Table(nll, correct, offsets)


def mix(tables: Sequence[Table], weights: Sequence[float]) -> Table:
  """Returns a weighted sum of the probabilities that tables give each token.

  They know the probabilities of the tokens alone, not of what else could have
  been, so `correct` is that of the heaviest component.

  Args:
    tables: Of the same documents.
    weights: Of each table, >= 0, their sum 1; see `fit_weights`.

  References:
    Jelinek and Mercer, Interpolated Estimation of Markov Source Parameters
    from Sparse Data, 1980.
  """
  weights = np.asarray(weights, np.float64)
  if weights.shape != (len(tables),):
    raise errors.InputError(
        f'weights should be {len(tables)} numbers, one a score; got '
        f'{weights.tolist()}.')
  if not (weights >= 0).all() or not np.isclose(weights.sum(), 1, atol=1e-6):
    raise errors.InputError(
        f'weights should be >= 0 and sum to 1; got {weights.tolist()}.')
  with np.errstate(divide='ignore'):
    logs = np.log(weights)
  # Finite where one component is, however small the probability.
  total = np.full(len(tables[0].nll), -np.inf)
  for each, log in zip(tables, logs):
    np.logaddexp(total, log - each.nll.astype(np.float64), out=total)
  heaviest = tables[int(np.argmax(weights))]
  return dataclasses.replace(heaviest, nll=(-total).astype(np.float32))


def fit_weights(tables: Sequence[Table], tolerance: float = 1e-9,
                steps: int = 10_000) -> np.ndarray:
  """Returns the weights under which held-out documents are most probable.

  The likelihood is concave in the weights, so EM finds the best ones.

  Args:
    tables: What each score gives text that none was fitted on.
    tolerance: EM stops when a step gains fewer nats a token.
    steps: The most steps of EM.

  Returns:
    Weights of the scores, >= 0, their sum 1.

  Raises:
    InputError: If there is nothing to fit on, or a token is impossible, or of
      no finite loss, under every score.
  """
  if not tables or not len(tables[0].nll):
    raise errors.InputError(
        'Weights are fitted on held-out tokens; there are none.')
  nll = np.stack([each.nll.astype(np.float64) for each in tables])
  low = nll.min(axis=0)
  if not np.isfinite(low).all():
    raise errors.InputError(
        f'{np.count_nonzero(~np.isfinite(low)):,} held-out tokens have no '
        'finite loss under some or every score; add a score that gives each '
        'token some probability, such as baselines.Uniform.')
  p = np.exp(low - nll)  # Relative to the best score of each token.
  weights, last = np.full(len(tables), 1 / len(tables)), -np.inf
  for _ in range(steps):
    joint = weights[:, None] * p
    total = joint.sum(axis=0)
    now = float(np.log(total).mean())
    if now - last < tolerance:
      break
    last = now
    weights = (joint / total).mean(axis=1)
  return weights / weights.sum()
