"""The likelihood of a target text given its source, token by token."""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.nn import masks
from lmjax.objectives import auxiliary
from lmjax.objectives import chunked
from lmjax.objectives import lm
from lmjax.objectives import losses
from lmjax.objectives import seq2seq

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class GivenSource:
  """Cross-entropy of the tokens of a target, given its source.

  It is the same for an encoder-decoder, whose encoder reads the source, and for
  a decoder, which reads source and target in one row: no token of the source
  counts. Logits are computed for targets only.

  Attributes:
    label_smoothing: Share of the target spread evenly over the vocabulary; 0.1
      in the papers.
    z_loss: Weight of the squared log-normaliser, which keeps logits near 0.
    chunk: Most tokens (over all rows of a device's batch) whose logits exist at
      once; None computes all at once. Saves memory if the vocabulary is large.

  References:
    Sutskever et al., Sequence to Sequence Learning, arXiv:1409.3215, eq. 1;
    Szegedy et al., Rethinking the Inception Architecture, arXiv:1512.00567,
    section 7, and Vaswani et al., Attention Is All You Need, arXiv:1706.03762,
    section 5.4 (label smoothing).
  """
  label_smoothing: ranges.Rate = 0.1
  z_loss: ranges.NonNegative = 0.0
  chunk: ranges.Count | None = None

  def build(self, model: nn.Module) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    The means are those of `losses.token_means`.

    Args:
      model: A causal model, or one with the trait `reads_source`.
    """
    def objective(params, batch, rng=None):
      x_BTD, sown = hidden(model, params, batch, rng)
      to_logits = lambda params, x_BTD: model.apply(
          {'params': params}, x_BTD, method='logits')
      targets_BT, weights_BT = batch['targets'], batch['weights']
      options = dict(
          label_smoothing=self.label_smoothing, z_loss=self.z_loss)
      if self.chunk is None:
        means = losses.token_means(
            to_logits(params, x_BTD), targets_BT, weights_BT, **options)
      else:
        means = chunked.token_means(
            to_logits, params, x_BTD, targets_BT, weights_BT,
            chunk=self.chunk, **options)
      return auxiliary.add(means, sown, weights_BT)
    return objective


def hidden(model: nn.Module, params: Any, batch: Batch,
           rng: jax.Array | None = None) -> tuple[jax.Array, Mapping[str, Any]]:
  """Returns the hidden states that predict the targets, and sown values.

  Args:
    model: A causal model, or one with the trait `reads_source`.
    params: Its parameters.
    batch: Of a model that reads a source, the fields of
      `seq2seq.Seq2Seq.build`. Of a decoder, `inputs`, `positions` and
      `segments` of rows with both texts, [B, R]; `places`, [B, T], the column
      of a row whose hidden state predicts each target; and `prefix`, [B, R], if
      the source is read both ways.
    rng: Key for dropout; None evaluates, without dropout.

  Returns:
    `x_BTD` for the T targets of each row, and the values that layers sowed; see
    `auxiliary`.
  """
  if model.config.traits.reads_source:
    return seq2seq.hidden(model, params, batch, rng), {}
  positions_BR, segments_BR = batch['positions'], batch['segments']
  mask = masks.make(positions_BR, segments_BR)
  if 'prefix' in batch:
    mask = masks.prefix(positions_BR, segments_BR, batch['prefix'])
  (x_BRD, _), sown = auxiliary.apply(
      model, params, batch['inputs'], mask, method='hidden',
      train=rng is not None, rngs=None if rng is None else {'dropout': rng})
  x_BTD = jnp.take_along_axis(x_BRD, batch['places'][..., None], axis=1)
  return x_BTD, sown


def scores(model: nn.Module, params: Any, batch: Batch
           ) -> tuple[jax.Array, jax.Array]:
  """Returns `nll_BT` in nats, without smoothing, and `correct_BT` of targets.

  Both may be 0 where the weight is 0; see `lm.scores_of`.
  """
  x_BTD, _ = hidden(model, params, batch)
  return lm.scores_of(
      model, params, x_BTD, batch['targets'], batch['weights'])
