"""Classification of texts that have any number of labels."""
from collections.abc import Callable
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.objectives import labels


@dataclasses.dataclass(frozen=True)
@ranges.checked
class SeveralLabels:
  """Cross-entropy of each of C labels, which a text has or has not.

  The loss of a text is the sum over labels, in nats: the negative
  log-likelihood of its set of labels if they were independent.

  Attributes:
    label_smoothing: Share s of the target that is spread evenly: a label that a
      text has counts as 1 - s / 2, another as s / 2.
  """
  label_smoothing: ranges.Rate = 0.0

  def build(self, model: nn.Module) -> Callable[..., dict[str, metrics.Mean]]:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`."""
    def objective(params, batch, rng=None):
      return score(model, params, batch, rng=rng,
                   label_smoothing=self.label_smoothing)
    return objective


def score(model: nn.Module, params: Any, batch: labels.Batch, *,
          rng: jax.Array | None = None, label_smoothing: float = 0.0
          ) -> dict[str, metrics.Mean]:
  """Returns the means over the rows of a batch.

  Args:
    model: A module of `models.heads` with C outputs.
    params: Its parameters.
    batch: As for `labels.classify`, with `labels_BC`, 1 for labels that a row
      has and 0 for others.
    rng: Key for dropout; None evaluates, without dropout.
    label_smoothing: See `SeveralLabels`.

  Returns:
    Weighted means: 'loss' is what training minimises, 'nll' the plain negative
    log-likelihood in nats, 'exact' the share of rows all of whose labels are
    right if those with a probability above one half are predicted.
  """
  logits_BC = labels.logits(model, params, batch, rng)
  found_BC = batch['labels'].astype(jnp.float32)
  target_BC = found_BC * (1 - label_smoothing) + label_smoothing / 2
  nll_B, loss_B = (jnp.sum(optax.sigmoid_binary_cross_entropy(
      logits_BC, each_BC), axis=1) for each_BC in (found_BC, target_BC))
  exact_B = jnp.all((logits_BC > 0) == (found_BC > 0), axis=1)
  return {name: metrics.Mean.of(value_B, batch['weights']) for name, value_B in
          (('loss', loss_B), ('nll', nll_B), ('exact', exact_B))}
