"""Cross-entropy of the first and the last token of an answer."""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import metrics
from lmjax.objectives import labels as labels_lib
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]
_NEVER = -1e9  # The logit of a token that cannot be in an answer.


@dataclasses.dataclass(frozen=True)
class SpanEnds:
  """The mean of the cross-entropies of an answer's first and last token.

  Both are over the tokens of the text that may be in an answer, and column 0,
  which stands for no answer.

  References:
    Devlin et al., BERT, arXiv:1810.04805, sections 4.2 and 4.3.
  """

  def build(self, model: nn.Module) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    A batch has the fields of `logits`, and `starts` and `ends`, the columns of
    the first and the last token of the answer or 0 for none, and `weights`,
    each [B]. 'loss' is in nats; 'accuracy' is the share of rows whose first and
    last token are both the most likely ones.
    """
    def objective(params, batch, rng=None):
      logits_BCT = logits(model, params, batch, rng).transpose(0, 2, 1)
      targets_BC = jnp.stack([batch['starts'], batch['ends']], axis=1)
      nll_BC, _ = losses.cross_entropy(logits_BCT, targets_BC)
      right_BC = losses.is_best(logits_BCT, targets_BC)
      return {
          'loss': metrics.Mean.of(jnp.mean(nll_BC, axis=1), batch['weights']),
          'accuracy': metrics.Mean.of(
              jnp.all(right_BC, axis=1), batch['weights'])}
    return objective


def logits(model: nn.Module, params: Any, batch: Batch,
           rng: jax.Array | None = None) -> jax.Array:
  """Returns the logits of each token, float32 `logits_BTC`, C = 2.

  Args:
    model: A module of `models.heads.span`.
    params: Its parameters.
    batch: `inputs`, `positions` and `segments`, optionally `types`, [B, T], and
      the columns of the text, from `firsts` to before `lasts`, [B]. Tokens
      outside it have a logit so low that its probability is 0, except column 0.
    rng: Key for dropout; None evaluates, without dropout.
  """
  found_BTC = labels_lib.logits(model, params, batch, rng)
  columns_BT = jnp.arange(found_BTC.shape[1])[None]
  possible_BT = (columns_BT >= batch['firsts'][:, None]) & (
      columns_BT < batch['lasts'][:, None]) | (columns_BT == 0)
  return jnp.where(possible_BT[:, :, None], found_BTC, _NEVER)
