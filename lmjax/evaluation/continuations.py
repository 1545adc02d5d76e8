"""The likelihood of continuations, each given the text before it.

Both functions here make a `Rate`: `branching` for a model in which a mask alone
decides what a token sees, and `alone` for any other score.
"""
from collections.abc import Callable, Sequence

import jax
import numpy as np

from lmjax.evaluation import branches
from lmjax.evaluation import likelihood
from lmjax.evaluation import windows

# rate(spans) -> nats_N, the negative log-likelihood of the scored ids of each
# text, and right_N, the number of them that were the most probable ones.
Rate = Callable[[Sequence[branches.Span]], tuple[np.ndarray, np.ndarray]]


def branching(score: likelihood.Score, context: int, devices: int = 1,
              ahead: int = 1) -> Rate:
  """Returns the `Rate` of a model that reads shared beginnings once.

  The numbers do not depend on the size of batches, to the bit: see
  `branches.batches`.

  Args:
    score: Maps the fields of `branches.FIELDS` to the loss of each slot and to
      whether its target was the most probable token; see
      `objectives.lm.branch_scores`.
    context: Most tokens that the model reads.
    devices: Number of devices that share a batch.
    ahead: Batches sent to the device before the first result is awaited.
  """
  score = likelihood.WithFields(score, branches.FIELDS)

  def rate(spans):
    nats_N, right_N = np.zeros((2, len(spans)))
    for batch, nll_BT, correct_BT in likelihood.scored(
        score, branches.batches(spans, context, devices), ahead):
      numbers, used = batch['numbers'], batch['used']
      nats_N += np.bincount(numbers, nll_BT.ravel()[used], len(spans))
      right_N += np.bincount(numbers, correct_BT.ravel()[used], len(spans))
    return nats_N, right_N
  return rate


def alone(score: likelihood.Score, context: int, batch_size: int = 8,
          ahead: int = 1) -> Rate:
  """Returns the `Rate` of any score, which reads every text for itself.

  Args:
    score: See `likelihood.evaluate`.
    context: Most tokens that a prediction sees.
    batch_size: Rows scored at a time.
    ahead: See `branching`.
  """
  def rate(spans):
    nats_N, right_N = np.zeros((2, len(spans)))
    longest = max((len(span.ids) - 1 for span in spans), default=1)
    length = min(context, max(64, 1 << (longest - 1).bit_length()))
    pieces = (windows.Piece(span.ids, span.start - 1, number)
              for number, span in enumerate(spans))
    for batch, nll_BT, correct_BT in likelihood.scored(
        score, windows.batches(pieces, length, batch_size), ahead):
      counted_BT = batch['weights'] > 0
      numbers = batch['documents'][counted_BT]
      nats_N += np.bincount(numbers, nll_BT[counted_BT], len(spans))
      right_N += np.bincount(numbers, correct_BT[counted_BT], len(spans))
    return nats_N, right_N
  return rate


def of_params(scores: Callable, params, devices: Sequence[jax.Device] | None,
              context: int, ahead: int = 1) -> Rate:
  """Returns the `Rate` of a model's parameters; see `branching`.

  Args:
    scores: `(params, batch) -> (nll_BT, correct_BT)`.
    params: The parameters.
    devices: See `likelihood.of_params`.
    context: Most tokens that the model reads.
    ahead: See `branching`.
  """
  return branching(likelihood.of_params(scores, params, devices), context,
                   len(devices or [None]), ahead)
