"""Interpolates the probabilities of several scores, with weights from EM.

Scores may read a text in different ways: one in windows, another with a carried
state. So each one first scores the whole text in its own way, which gives a
`Table`, and the tables are mixed token by token.
"""
from collections.abc import Callable, Iterable, Sequence
import dataclasses

import numpy as np

from lmjax.core import errors
from lmjax.evaluation import likelihood


@dataclasses.dataclass(frozen=True)
class Table:
  """The scores of all tokens of some documents, except their first tokens.

  A table is itself a score of those documents, in any layout.

  Attributes:
    nll: The loss of each token in nats, 1-D, document by document.
    correct: Whether each token was the most probable one, 1-D.
    offsets: Index in these arrays at which each document begins, and their
      length.
  """
  nll: np.ndarray
  correct: np.ndarray
  offsets: np.ndarray

  fields = ('documents', 'places')  # Fields that `likelihood.scored` passes.

  def __call__(self, batch: likelihood.Batch):
    at = self.offsets[batch['documents']] + batch['places'] - 1
    at = np.clip(at, 0, len(self.nll) - 1)  # Padding may be out of range.
    return self.nll[at], self.correct[at]


def table(score: likelihood.Score, documents: Sequence[Sequence[int]],
          lay: Callable[..., Iterable[likelihood.Batch]]) -> Table:
  """Returns the table of a score for some documents.

  Args:
    score: See `likelihood.evaluate`.
    documents: Token ids, document by document; read twice.
    lay: Lays them out as batches for this score, such as `carried.Windows`.

  Raises:
    InputError: If the score does not return probabilities.
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
  """Returns the table of a weighted sum of probabilities.

  Tables hold the probability of the actual tokens only, so the most probable
  token under the mixture is not known; `correct` is copied from the table of
  the largest weight.

  Args:
    tables: Tables of the same documents.
    weights: Weight of each table, >= 0, with sum 1; see `fit_weights`.

  References:
    Jelinek and Mercer, Interpolated Estimation of Markov Source Parameters
    from Sparse Data, 1980.
  """
  weights = np.asarray(weights, np.float64)
  if weights.shape != (len(tables),):
    raise errors.InputError(
        f'weights should be {len(tables)} numbers, one per score; got '
        f'{weights.tolist()}.')
  if not (weights >= 0).all() or not np.isclose(weights.sum(), 1, atol=1e-6):
    raise errors.InputError(
        f'weights should be >= 0 and sum to 1; got {weights.tolist()}.')
  with np.errstate(divide='ignore'):
    logs = np.log(weights)
  # The sum is finite where one table is, however small the probability.
  total = np.full(len(tables[0].nll), -np.inf)
  for each, log in zip(tables, logs):
    np.logaddexp(total, log - each.nll.astype(np.float64), out=total)
  heaviest = tables[int(np.argmax(weights))]
  return dataclasses.replace(heaviest, nll=(-total).astype(np.float32))


def fit_weights(tables: Sequence[Table], tolerance: float = 1e-9,
                steps: int = 10_000) -> np.ndarray:
  """Returns the weights under which held-out documents are most probable.

  The log-likelihood is concave in the weights, so EM finds the best ones.

  Args:
    tables: Tables of a text that no score was fitted on.
    tolerance: EM stops when a step gains less than this, in nats per token.
    steps: Most steps of EM.

  Returns:
    Weights of the tables, >= 0, with sum 1.

  Raises:
    InputError: If there are no tokens to fit on, or the loss of a token is NaN
      under any score or infinite under every score.
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
  p = np.exp(low - nll)  # Relative to the largest probability of each token.
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
