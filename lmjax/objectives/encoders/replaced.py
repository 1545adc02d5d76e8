"""Replaced-token detection: find the tokens that a small masked model drew."""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.nn import temperature
from lmjax.objectives.encoders import bidirectional
from lmjax.objectives.encoders import masking
from lmjax.objectives.encoders import mlm as mlm_lib

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class ReplacedTokens:
  """A generator replaces masked tokens, a discriminator finds replaced ones.

  The replacements are drawn from the generator's softmax, without a gradient. A
  replacement that equals the token counts as original. The loss is

    mean over masked tokens of the generator's nats
    + weight * mean over all tokens of the discriminator's nats,

  where the weight of a row in the second mean is the number of tokens that are
  masked in it on average, so that sums over devices and microbatches are exact.

  Attributes:
    mlm: How tokens are masked.
    weight: Weight of the discriminator's loss, lambda in the paper.
    temperature: Temperature at which the generator's replacements are drawn.

  References:
    Clark et al., ELECTRA, arXiv:2003.10555, section 2.
  """
  mlm: mlm_lib.MaskedLM = mlm_lib.MaskedLM(masked=1.0, random=0.0)
  weight: ranges.NonNegative = 50.0
  temperature: ranges.Positive = 1.0

  likelihood = 'none'

  def build(self, model: nn.Module, tokenizer: Any = None) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    Args:
      model: A module with the interface of `models.electra.Electra`.
      tokenizer: As for `MaskedLM`.

    Raises:
      InputError: If the model is not a pair of encoders.
    """
    if 'generator' not in model.config.traits.heads:
      raise errors.InputError(
          'ReplacedTokens needs a generator and a discriminator, and '
          f'{type(model).__name__} is one model: choose '
          '--config.model.kind=ElectraConfig, or '
          '--config.objective.kind=MaskedLM.')
    mask = self.mlm.masker(tokenizer)

    def objective(params, batch, rng=None):
      return self.losses(
          model, params, batch, mask(batch, rng), rng, tokenizer.vocab_size)
    return objective

  def losses(self, model: nn.Module, params: Any, batch: Batch,
             masked: masking.Masked, rng: jax.Array | None, known: int
             ) -> dict[str, metrics.Mean]:
    """Returns the means of both encoders on a masked batch.

    Args:
      model: The pair of encoders.
      params: Its parameters.
      batch: The batch before masking.
      masked: The masked batch.
      rng: Key of dropout and of the draw, or None.
      known: Number of ids of the tokenizer, which alone are drawn.

    Returns:
      Means: 'loss'; 'nll', 'accuracy' and 'masked' of the generator, as in
      `MaskedLM`; over all tokens 'replaced_nll' in nats, 'replaced_accuracy',
      and 'replaced', the share of tokens that differ from the original.
    """
    keys = (None, None) if rng is None else jax.random.split(
        mlm_lib.dropout_key(rng))
    x_BTD = bidirectional.hidden(
        model, params, batch, masked.inputs_BT, rng=keys[0],
        method='generator_hidden')
    out, logits_BMV = mlm_lib.guesses(model, params, x_BTD, masked)
    if rng is not None:
      rng = jax.random.fold_in(rng, 2)
    known_V = jnp.arange(logits_BMV.shape[-1]) < known
    logits_BMV = jnp.where(known_V[None, None], logits_BMV, -jnp.inf)
    inputs_BT = replaced(
        batch, masked, temperature.scaled(logits_BMV, self.temperature), rng)

    x_BTD = bidirectional.hidden(
        model, params, batch, inputs_BT, rng=keys[1])
    logits_BT = bidirectional.head(model, params, x_BTD, 'replaced_logits')
    label_BT = inputs_BT != batch['inputs']
    nll_BT = jax.nn.softplus(jnp.where(label_BT, -logits_BT, logits_BT))
    real_BT = (batch['segments'] > 0).astype(jnp.float32)
    worth_B = self.mlm.rate * jnp.sum(masked.possible_BT, axis=1) / (
        jnp.maximum(jnp.sum(real_BT, axis=1), 1.0))
    other = self.weight * jnp.sum(nll_BT * real_BT * worth_B[:, None])
    loss = out['loss'].merge(metrics.Mean(other, 0.0))
    return out | {
        'loss': loss,
        'replaced_nll': metrics.Mean.of(nll_BT, real_BT),
        'replaced_accuracy': metrics.Mean.of(
            (logits_BT > 0) == label_BT, real_BT),
        'replaced': metrics.Mean.of(label_BT, real_BT)}


def replaced(batch: Batch, masked: masking.Masked, logits_BMV: jax.Array,
             rng: jax.Array | None) -> jax.Array:
  """Returns `inputs_BT` with a drawn token at each chosen place.

  Args:
    batch: The batch before masking.
    masked: The masked batch.
    logits_BMV: Logits to draw from; no gradient flows into them.
    rng: Key of the draw; None always draws the same tokens for the same row.
  """
  keys_B = masking.row_keys(batch, rng)
  keys_B = jax.vmap(jax.random.fold_in, (0, None))(keys_B, 1)
  # `categorical` returns the argmax under Gumbel noise, which has no gradient.
  drawn_BM = jax.vmap(jax.random.categorical)(keys_B, logits_BMV)
  inputs_BT = batch['inputs']
  rows_B1 = jnp.arange(inputs_BT.shape[0])[:, None]
  kept_BM = masked.targets_BM
  return jnp.asarray(inputs_BT).at[rows_B1, masked.places_BM].set(
      jnp.where(masked.weights_BM > 0, drawn_BM, kept_BM))
