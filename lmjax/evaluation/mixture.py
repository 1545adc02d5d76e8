"""Interpolation of scores in probability space, its weights by EM."""
from collections.abc import Iterable, Sequence
import dataclasses

import numpy as np

from lmjax.core import errors
from lmjax.evaluation import likelihood


@dataclasses.dataclass(frozen=True)
class Mixture:
  """A weighted sum of the probabilities that several scores give a target.

  Called with a batch as its components are. It knows their probabilities of
  targets alone, not of what else they could have been, so `correct_BT` is that
  of the heaviest component.

  Attributes:
    scores: Each maps a batch to the loss of each target in nats and to whether
      it was the most probable token, each [B, T], of one same vocabulary.
    weights: Of each score, >= 0, their sum 1; see `fit_weights`.

  References:
    Jelinek and Mercer, Interpolated Estimation of Markov Source Parameters
    from Sparse Data, 1980.
  """
  scores: Sequence[likelihood.Score]
  weights: Sequence[float]

  def __post_init__(self):
    _check_scores(self.scores)
    weights = np.asarray(self.weights, np.float64)
    if weights.shape != (len(self.scores),):
      raise errors.InputError(
          f'weights should be {len(self.scores)} numbers, one a score; got '
          f'{list(self.weights)}.')
    if not (weights >= 0).all() or not np.isclose(weights.sum(), 1, atol=1e-6):
      raise errors.InputError(
          f'weights should be >= 0 and sum to 1; got {weights.tolist()}.')

  def __call__(self, batch: likelihood.Batch):
    found = [score(batch) for score in self.scores]  # Devices work meanwhile.
    weights = np.asarray(self.weights, np.float64)
    # Finite where one component is, however small the probability.
    log_p = -np.stack([np.asarray(nll_BT, np.float64) for nll_BT, _ in found])
    with np.errstate(divide='ignore'):
      log_p += np.log(weights)[:, None, None]
    nll_BT = -np.logaddexp.reduce(log_p, axis=0)
    correct_BT = np.asarray(found[int(np.argmax(weights))][1])
    return nll_BT.astype(np.float32), correct_BT


def fit_weights(scores: Sequence[likelihood.Score],
                batches: Iterable[likelihood.Batch],
                tolerance: float = 1e-9, steps: int = 10_000) -> np.ndarray:
  """Returns the weights under which held-out batches are most probable.

  The likelihood is concave in the weights, so EM finds the best ones. Each
  score is called once a batch; the losses of all targets are held in memory.

  Args:
    scores: See `Mixture`.
    batches: Text that no score was fitted on, with `weights`: targets with
      weight 0 do not count.
    tolerance: EM stops when a step gains fewer nats a token.
    steps: The most steps of EM.

  Returns:
    Weights of the scores, >= 0, their sum 1.

  Raises:
    InputError: If there is nothing to fit on, or a target is impossible, or of
      no finite loss, under every score.
  """
  _check_scores(scores)
  held = []
  for batch in batches:
    counted_BT = np.asarray(batch['weights']) > 0
    held.append([np.asarray(score(batch)[0], np.float64)[counted_BT]
                 for score in scores])
  nll = np.concatenate(held, axis=1) if held else np.zeros((len(scores), 0))
  if not nll.shape[1]:
    raise errors.InputError(
        'Weights are fitted on held-out tokens; the batches hold none.')
  low = nll.min(axis=0)
  if not np.isfinite(low).all():
    raise errors.InputError(
        f'{np.count_nonzero(~np.isfinite(low)):,} held-out tokens have no '
        'finite loss under some or every score; add a score that gives each '
        'token some probability, such as baselines.Uniform.')
  p = np.exp(low - nll)  # Relative to the best score of each token.
  weights, last = np.full(len(scores), 1 / len(scores)), -np.inf
  for _ in range(steps):
    joint = weights[:, None] * p
    total = joint.sum(axis=0)
    now = float(np.log(total).mean())
    if now - last < tolerance:
      break
    last = now
    weights = (joint / total).mean(axis=1)
  return weights / weights.sum()


def _check_scores(scores):
  if not scores:
    raise errors.InputError('A mixture needs at least one score; got none.')
  for score in scores:
    if not getattr(score, 'normalised', True):
      raise errors.InputError(
          f'{score.name} gives scores that do not sum to one, so they cannot '
          'be mixed with probabilities; choose another smoothing.')
