"""Masked diffusion: a language model that unmasks tokens in any order."""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.objectives.encoders import bidirectional
from lmjax.objectives import lm
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class MaskedDiffusion:
  """Predicts masked tokens at every masking rate, weighted to a likelihood.

  Each document gets a time t, uniform on (smallest, 1], and each of its tokens
  is masked with probability t. For a document x and its masked version z,

    -log p(x) <= E_t E_z [1 / t * sum over masked i of -log p(x_i | z)],

  so the loss, divided by the number of tokens, is an upper bound of the nats
  per token. The sequence consists of the `targets` of a batch: all tokens of a
  document except the first, which is always BOS. EOS is masked and predicted
  like any token.

  Attributes:
    smallest: The lowest masking rate, which keeps the weights 1 / t finite.
      The average over t leaves out the rates below it.
    samples: Number of times t, each with its own mask, that `scores` averages
      over.

  References:
    Sahoo et al., Simple and Effective Masked Diffusion Language Models,
    arXiv:2406.07524, eq. 10 with alpha_t = 1 - t; Nie et al., LLaDA,
    arXiv:2502.09992, eq. 3.
  """
  smallest: ranges.ProperShare = 1e-3
  samples: ranges.Count = 16

  likelihood = 'bound'  # Kind of `scores`, up to sampling error.

  def build(self, model: nn.Module, tokenizer: Any = None) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    'loss' and 'nll' are the bound, in nats per token; 'accuracy' is over masked
    tokens, and 'masked' is their share of all tokens.

    Raises:
      InputError: If the model reads one way only or the tokenizer lacks [MASK].
    """
    mask_id = _check(model, tokenizer)

    def objective(params, batch, rng=None):
      sequence = of_targets(batch)
      if rng is None:
        noise = _by_content(jax.random.key(0), sequence)
      else:
        noise = _by_place(jax.random.fold_in(rng, 0), sequence)
      dropout = None if rng is None else jax.random.fold_in(rng, 1)
      bound_BT, correct_BT, masked_BT = self._bound(
          model, params, sequence, *noise, mask_id, dropout)
      weights_BT = sequence['weights']
      bound = metrics.Mean.of(bound_BT, weights_BT)
      return {
          'loss': bound, 'nll': bound,
          'accuracy': metrics.Mean.of(correct_BT, weights_BT * masked_BT),
          'masked': metrics.Mean.of(masked_BT, weights_BT)}
    return objective

  def scores(self, model: nn.Module, tokenizer: Any = None) -> lm.Scores:
    """Returns `scores(params, batch) -> (nll_BT, correct_BT)`.

    `nll_BT` is each token's part of the bound, averaged over `samples` times
    that divide (0, 1] evenly from a random start. Times and masks depend only
    on the document's tokens, not on its row or batch. Targets with weight 0 are
    never masked. `correct_BT` is the share of the samples which mask the token
    that predict it correctly.
    """
    mask_id = _check(model, tokenizer)

    def scores(params, batch):
      sequence = of_targets(batch)

      def sample(number):
        t_BT, u_BT = _by_content(
            jax.random.fold_in(jax.random.key(0), number), sequence,
            number / self.samples)
        return self._bound(
            model, params, sequence, t_BT, u_BT, mask_id, None)
      bound, correct, masked = jax.lax.map(sample, jnp.arange(self.samples))
      right_BT = jnp.sum(correct * masked, axis=0)
      return (jnp.mean(bound, axis=0),
              right_BT / jnp.maximum(jnp.sum(masked, axis=0), 1))
    return scores

  def _bound(self, model, params, sequence, t_BT, u_BT, mask_id, dropout):
    """Returns (bound, correct, masked) for each token, three arrays [B, T]."""
    t_BT = self.smallest + (1 - self.smallest) * t_BT
    masked_BT = (u_BT < t_BT) & (sequence['weights'] > 0)
    inputs_BT = jnp.where(masked_BT, mask_id, sequence['inputs'])
    x_BTD = bidirectional.hidden(
        model, params, sequence, inputs_BT, rng=dropout)
    logits_BTV = bidirectional.head(model, params, x_BTD, 'logits')
    # Texts never contain [MASK], so its probability is 0.
    logits_BTV = logits_BTV.at[..., mask_id].set(-jnp.inf)
    nll_BT, _ = losses.cross_entropy(logits_BTV, sequence['inputs'])
    correct_BT = losses.is_best(logits_BTV, sequence['inputs'])
    masked_BT = masked_BT.astype(jnp.float32)
    return (jnp.where(masked_BT > 0, nll_BT, 0) / t_BT,
            correct_BT.astype(jnp.float32), masked_BT)


def of_targets(batch: Batch) -> dict[str, jax.Array]:
  """Returns the batch with its targets as inputs.

  The target of a document's last input may belong to the next document; it
  becomes padding unless it has a weight.
  """
  segments_BT = batch['segments']
  after_BT = jnp.pad(segments_BT, ((0, 0), (0, 1)))[:, 1:]
  within_BT = (batch['weights'] > 0) | (after_BT == segments_BT)
  return dict(
      batch, inputs=batch['targets'],
      segments=jnp.where(within_BT, segments_BT, 0))


def _by_place(key: jax.Array, sequence: Batch) -> tuple[jax.Array, jax.Array]:
  """Returns random numbers in [0, 1): a time per document, one per token."""
  segments_BT = sequence['segments']
  shapes.bind(segments_BT=segments_BT)
  rows, length = segments_BT.shape
  t_BS = jax.random.uniform(jax.random.fold_in(key, 0), (rows, length + 1))
  u_BT = jax.random.uniform(jax.random.fold_in(key, 1), (rows, length))
  return jnp.take_along_axis(t_BS, segments_BT, axis=1), u_BT


def _by_content(key: jax.Array, sequence: Batch, start: jax.Array | float = 0.0
                ) -> tuple[jax.Array, jax.Array]:
  """Returns the same as `_by_place`, seeded by the tokens of each document.

  Args:
    key: Key of the draw.
    sequence: From `of_targets`.
    start: Added to the time of each document, modulo 1.
  """
  segments_BT, positions_BT = sequence['segments'], sequence['positions']
  ids_BT = sequence['inputs'].astype(jnp.uint32) + 1
  mixed_BT = (ids_BT * jnp.uint32(2654435761)
              ^ (positions_BT.astype(jnp.uint32) + 1) * jnp.uint32(2246822519))
  mixed_BT ^= mixed_BT >> 15
  same_BTS = segments_BT[:, :, None] == segments_BT[:, None]
  said_BT = jnp.sum(jnp.where(same_BTS, mixed_BT[:, None], jnp.uint32(0)),
                    axis=-1, dtype=jnp.uint32)

  def one(said, position):
    t = jax.random.uniform(jax.random.fold_in(jax.random.key(1), said))
    own = jax.random.fold_in(jax.random.fold_in(key, said), position)
    return (t + start) % 1.0, jax.random.uniform(own)
  return jax.vmap(jax.vmap(one))(said_BT, positions_BT)


def _check(model: nn.Module, tokenizer: Any) -> int:
  """Returns the id of [MASK] after checking the model and the tokenizer."""
  bidirectional.check(model, 'MaskedDiffusion')
  bidirectional.check_head(model, 'tokens', 'MaskedDiffusion')
  bidirectional.check_tokenizer(tokenizer, 'MaskedDiffusion')
  return tokenizer.special('[MASK]')
