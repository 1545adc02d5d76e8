"""An objective: cross-entropy that leaves out what is already learned."""
import dataclasses
import functools

import jax.numpy as jnp

from lmjax.core import metrics
from lmjax.nn import masks
from lmjax.objectives import lm
from lmjax.objectives import losses


@dataclasses.dataclass(frozen=True)
class Focal:
  """The focal loss, (1 - p)^gamma times the negative log-likelihood.

  References:
    Lin et al., Focal Loss for Dense Object Detection, arXiv:1708.02002, eq. 4.
  """
  gamma: float = 2.0
  likelihood = 'exact'

  def build(self, model, tokenizer=None):
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`."""
    del tokenizer

    def objective(params, batch, rng=None):
      logits_BTV, _ = model.apply(
          {'params': params}, batch['inputs'],
          masks.make(batch['positions'], batch['segments']),
          train=rng is not None,
          rngs=None if rng is None else {'dropout': rng})
      nll_BT, _ = losses.cross_entropy(logits_BTV, batch['targets'])
      loss_BT = (1 - jnp.exp(-nll_BT)) ** self.gamma * nll_BT
      return {'loss': metrics.Mean.of(loss_BT, batch['weights']),
              'nll': metrics.Mean.of(nll_BT, batch['weights'])}
    return objective

  def scores(self, model, tokenizer=None):
    """Returns `scores(params, batch) -> (nll_BT, correct_BT)`."""
    del tokenizer
    return functools.partial(lm.token_scores, model)
