"""Pretraining on pairs of texts: masked tokens and a class for the pair."""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.objectives.encoders import bidirectional
from lmjax.objectives.encoders import mlm as mlm_lib
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class SentencePairs:
  """Masked language modelling plus a two-way classification of each row.

  The data define the classes: `data.pairs.NextSentence` or `SentenceOrder`.
  The loss is

    mean over masked tokens of their nats
    + weight * mean over rows of the nats of their class,

  where the weight of a row is the number of tokens that are masked in it on
  average, so that sums over devices and microbatches are exact.

  Attributes:
    mlm: How tokens are masked.
    weight: Weight of the classification loss.

  References:
    Devlin et al., BERT, arXiv:1810.04805, section 3.1 (next sentence); Lan et
    al., ALBERT, arXiv:1909.11942, section 3.1 (sentence order).
  """
  mlm: mlm_lib.MaskedLM = mlm_lib.MaskedLM()
  weight: ranges.NonNegative = 1.0

  likelihood = 'pseudo'

  def build(self, model: nn.Module, tokenizer: Any = None) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    Batches also hold `types` [B, T] and `labels` [B]. The means are the means
    of `MaskedLM`, and over rows 'pair_nll' in nats and 'pair_accuracy'.

    Raises:
      InputError: As for `MaskedLM`, or if the model has no head for pairs.
    """
    bidirectional.check(model, 'SentencePairs')
    bidirectional.check_head(model, 'tokens', 'SentencePairs')
    if 'pairs' not in model.config.traits.heads:
      raise errors.InputError(
          'SentencePairs needs a model with logits for pairs: choose '
          '--config.model.kind=EncoderConfig '
          '--config.model.pooler.kind=Pooler.')
    mask = self.mlm.masker(tokenizer)

    def objective(params, batch, rng=None):
      if 'labels' not in batch:
        raise errors.InputError(
            'SentencePairs needs rows of pairs, with labels: choose '
            '--config.data.packing.kind=NextSentence or SentenceOrder.')
      masked = mask(batch, rng)
      x_BTD = bidirectional.hidden(
          model, params, batch, masked.inputs_BT, rng=mlm_lib.dropout_key(rng))
      out, _ = mlm_lib.guesses(model, params, x_BTD, masked)
      logits_B2 = bidirectional.head(model, params, x_BTD, 'pair_logits')
      labels_B1 = batch['labels'][:, None]
      nll_B1, _ = losses.cross_entropy(logits_B2[:, None], labels_B1)
      correct_B = jnp.argmax(logits_B2, axis=-1) == batch['labels']
      is_row_B = jnp.any(batch['segments'] > 0, axis=1)
      worth_B = self.mlm.rate * jnp.sum(masked.possible_BT, axis=1)
      other = self.weight * jnp.sum(nll_B1[:, 0] * worth_B)
      return out | {
          'loss': out['loss'].merge(metrics.Mean(other, 0.0)),
          'pair_nll': metrics.Mean.of(nll_B1[:, 0], is_row_B),
          'pair_accuracy': metrics.Mean.of(correct_B, is_row_B)}
    return objective

  def scores(self, model: nn.Module, tokenizer: Any = None):
    """Returns `scores(params, batch)` of `MaskedLM`."""
    return self.mlm.scores(model, tokenizer)
