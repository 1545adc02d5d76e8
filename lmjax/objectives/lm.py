"""Causal language modelling: predict each token from those before it."""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import metrics
from lmjax.nn import masks
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]


@dataclasses.dataclass(frozen=True)
class Causal:
  """Next-token cross-entropy.

  Attributes:
    label_smoothing: Share of the target spread evenly over the vocabulary.
    z_loss: Weight of the squared log-normaliser, which keeps logits near 0.

  References:
    Chowdhery et al., PaLM, arXiv:2204.02311, section 5 (z-loss).
  """
  label_smoothing: float = 0.0
  z_loss: float = 0.0

  def __post_init__(self):
    losses.check_smoothing(self.label_smoothing)

  def build(self, model: nn.Module) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`."""
    def objective(params, batch, rng=None):
      return causal(model, params, batch, rng=rng,
                    label_smoothing=self.label_smoothing, z_loss=self.z_loss)
    return objective


def causal(
    model: nn.Module, params: Any, batch: Batch, *,
    rng: jax.Array | None = None, label_smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> dict[str, metrics.Mean]:
  """Scores `targets` given the `inputs` up to each of them.

  Args:
    model: A module that `models.decoder.Decoder` can stand for.
    params: Its parameters.
    batch: `inputs`, `targets`, `weights`, `positions` and `segments`, [B, T].
    rng: Key for dropout; None evaluates, without dropout.
    label_smoothing: See `Causal`.
    z_loss: See `Causal`.

  Returns:
    Means over the weighted tokens: 'loss' is what training minimises, 'nll' the
    plain negative log-likelihood in nats, 'accuracy' the share of tokens that
    were the most likely one.
  """
  logits_BTV = _logits(model, params, batch, rng)
  nll_BT, log_normalizer_BT = losses.cross_entropy(
      logits_BTV, batch['targets'])
  loss_BT = nll_BT
  if label_smoothing:
    loss_BT = losses.smoothed(
        nll_BT, logits_BTV, log_normalizer_BT, label_smoothing)
  if z_loss:
    loss_BT += z_loss * jnp.square(log_normalizer_BT)
  weights_BT = batch['weights']
  correct_BT = jnp.argmax(logits_BTV, axis=-1) == batch['targets']
  return {
      'loss': metrics.Mean.of(loss_BT, weights_BT),
      'nll': metrics.Mean.of(nll_BT, weights_BT),
      'accuracy': metrics.Mean.of(correct_BT, weights_BT),
  }


def token_scores(
    model: nn.Module, params: Any, batch: Batch
) -> tuple[jax.Array, jax.Array]:
  """Returns `nll_BT` in nats and `correct_BT`, for evaluators to add up."""
  logits_BTV = _logits(model, params, batch, rng=None)
  nll_BT, _ = losses.cross_entropy(logits_BTV, batch['targets'])
  return nll_BT, jnp.argmax(logits_BTV, axis=-1) == batch['targets']


def _logits(model, params, batch, rng):
  logits_BTV, _ = model.apply(
      {'params': params}, batch['inputs'],
      masks.make(batch['positions'], batch['segments']),
      train=rng is not None, rngs=None if rng is None else {'dropout': rng})
  return logits_BTV
