"""Classification of whole texts: one label a row, on a head over a backbone."""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import metrics
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]


@dataclasses.dataclass(frozen=True)
class Labels:
  """Cross-entropy of one label a row.

  Attributes:
    label_smoothing: Share of the target spread evenly over the C classes.

  References:
    Szegedy et al., Rethinking the Inception Architecture, arXiv:1512.00567,
    section 7 (label smoothing).
  """
  label_smoothing: float = 0.0

  def __post_init__(self):
    losses.check_smoothing(self.label_smoothing)

  def build(self, model: nn.Module) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`."""
    def objective(params, batch, rng=None):
      return classify(model, params, batch, rng=rng,
                      label_smoothing=self.label_smoothing)
    return objective


def classify(
    model: nn.Module, params: Any, batch: Batch, *,
    rng: jax.Array | None = None, label_smoothing: float = 0.0,
) -> dict[str, metrics.Mean]:
  """Scores the label of each row.

  Args:
    model: A module that `models.classifier.Classifier` can stand for.
    params: Its parameters.
    batch: `inputs`, `positions`, `segments`, [B, T]; `labels` and `weights`,
      [B], of which a weight of 0 leaves a row out.
    rng: Key for dropout; None evaluates, without dropout.
    label_smoothing: See `Labels`.

  Returns:
    Means over the weighted rows: 'loss' is what training minimises, 'nll' the
    plain negative log-likelihood of the label in nats, 'accuracy' the share of
    rows whose label was the most likely one.
  """
  logits_BC = class_logits(model, params, batch, rng)
  labels_B1 = batch['labels'][:, None]
  logits_B1C = logits_BC[:, None]
  nll_B1, log_normalizer_B1 = losses.cross_entropy(logits_B1C, labels_B1)
  loss_B1 = nll_B1
  if label_smoothing:
    loss_B1 = losses.smoothed(
        nll_B1, logits_B1C, log_normalizer_B1, label_smoothing)
  weights_B = batch['weights']
  correct_B = jnp.argmax(logits_BC, axis=-1) == batch['labels']
  return {
      'loss': metrics.Mean.of(loss_B1[:, 0], weights_B),
      'nll': metrics.Mean.of(nll_B1[:, 0], weights_B),
      'accuracy': metrics.Mean.of(correct_B, weights_B),
  }


def class_logits(model: nn.Module, params: Any, batch: Batch,
                 rng: jax.Array | None = None) -> jax.Array:
  """Returns float32 `logits_BC`; with a key, under dropout."""
  return model.apply(
      {'params': params}, batch['inputs'], batch['positions'],
      batch['segments'], train=rng is not None,
      rngs=None if rng is None else {'dropout': rng})
