"""Classification of texts or tokens by a head on a backbone."""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Labels:
  """Cross-entropy of one label per row, or of one label per token.

  Attributes:
    label_smoothing: Share of the target spread evenly over the C classes.

  References:
    Szegedy et al., Rethinking the Inception Architecture, arXiv:1512.00567,
    section 7 (label smoothing).
  """
  label_smoothing: ranges.Rate = 0.0

  def build(self, model: nn.Module) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`."""
    def objective(params, batch, rng=None):
      return self.means(logits(model, params, batch, rng), batch)
    return objective

  def means(self, found: jax.Array, batch: Batch) -> dict[str, metrics.Mean]:
    """Returns the means of logits; see `classify`.

    Args:
      found: The logits, [B, C] or [B, T, C].
      batch: Has `labels` and `weights`, [B] or [B, T].
    """
    return means(found, batch, self.label_smoothing)


def classify(
    model: nn.Module, params: Any, batch: Batch, *,
    rng: jax.Array | None = None, label_smoothing: float = 0.0,
) -> dict[str, metrics.Mean]:
  """Returns the means over the labels of the rows, or of the tokens.

  Args:
    model: A module of `models.heads`.
    params: Its parameters.
    batch: `inputs`, `positions` and `segments`, optionally `types`, [B, T];
      `labels` and `weights`, [B] or [B, T]; a weight of 0 leaves a row or a
      token out.
    rng: Key for dropout; None evaluates, without dropout.
    label_smoothing: See `Labels`.

  Returns:
    Weighted means: 'loss' is what training minimises, 'nll' the plain negative
    log-likelihood of the label in nats, 'accuracy' the share of labels that
    were the most likely one.
  """
  return means(logits(model, params, batch, rng), batch, label_smoothing)


def means(found: jax.Array, batch: Batch, label_smoothing: float = 0.0
          ) -> dict[str, metrics.Mean]:
  """Returns the means of logits; see `classify`."""
  targets, weights = batch['labels'], batch['weights']
  rows, classes = len(targets), found.shape[-1]
  logits_BTC = found.reshape(rows, -1, classes)  # T is 1 for labels of rows.
  nll_BT, log_normalizer_BT = losses.cross_entropy(
      logits_BTC, targets.reshape(rows, -1))
  loss_BT = nll_BT
  if label_smoothing:
    loss_BT = losses.smoothed(
        nll_BT, logits_BTC, log_normalizer_BT, label_smoothing)
  correct = jnp.argmax(found, axis=-1) == targets
  return {
      'loss': metrics.Mean.of(loss_BT.reshape(targets.shape), weights),
      'nll': metrics.Mean.of(nll_BT.reshape(targets.shape), weights),
      'accuracy': metrics.Mean.of(correct, weights),
  }


def logits(model: nn.Module, params: Any, batch: Batch,
           rng: jax.Array | None = None) -> jax.Array:
  """Returns the head's logits, float32; with a key, under dropout."""
  types = {'types_BT': batch['types']} if 'types' in batch else {}
  return model.apply(
      {'params': params}, batch['inputs'], batch['positions'],
      batch['segments'], **types, train=rng is not None,
      rngs=None if rng is None else {'dropout': rng})
