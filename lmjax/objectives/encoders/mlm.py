"""Masked language modelling: predict hidden tokens from all the others."""
from collections.abc import Callable, Mapping
import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.nn import masks
from lmjax.objectives.encoders import bidirectional
from lmjax.objectives.encoders import masking
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]


@dataclasses.dataclass(frozen=True)
@ranges.checked
class MaskedLM:
  """Cross-entropy of chosen tokens, most of which the model does not see.

  Padding and control ids are never chosen. The expected share of chosen tokens
  is exactly `rate`; in each row their number differs from it by less than one
  unit.

  Attributes:
    rate: Share of the tokens that is chosen.
    masked: Share of the chosen tokens that [MASK] replaces.
    random: Share of the chosen tokens that a random token replaces; the other
      chosen tokens stay unchanged.
    selection: The unit of choice: single tokens, whole words or spans.
    static: Whether a row is always masked in the same way, as in BERT; if not,
      it is masked anew each time, as in RoBERTa.

  References:
    Devlin et al., BERT, arXiv:1810.04805, section 3.1, task 1; Liu et al.,
    RoBERTa, arXiv:1907.11692, section 4.1 (dynamic masking).
  """
  rate: ranges.ProperShare = 0.15
  masked: ranges.Share = 0.8
  random: ranges.Share = 0.1
  selection: masking.Selection = masking.Tokens()
  static: bool = False

  likelihood = 'pseudo'  # Kind of `scores`.

  def __post_init__(self):
    if self.masked + self.random > 1:
      raise errors.InputError(
          'objective.masked and objective.random should sum to 1 at most; got '
          f'{self.masked} and {self.random}.')

  def build(self, model: nn.Module, tokenizer: Any = None) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    Args:
      model: A module with the interface of `models.encoder.Encoder`.
      tokenizer: Tokenizer with `special('[MASK]')`, `control_ids`,
        `vocab_size` and, for whole words, `word_starts` and `word_ends`.

    Raises:
      InputError: If the model reads one way only or the tokenizer lacks [MASK].
    """
    bidirectional.check(model, 'MaskedLM')
    bidirectional.check_head(model, 'tokens', 'MaskedLM')
    mask = self.masker(tokenizer)

    def objective(params, batch, rng=None):
      masked = mask(batch, rng)
      x_BTD = bidirectional.hidden(
          model, params, batch, masked.inputs_BT, rng=dropout_key(rng))
      return guesses(model, params, x_BTD, masked)[0]
    return objective

  def masker(self, tokenizer: Any
             ) -> Callable[[Batch, jax.Array | None], masking.Masked]:
    """Returns `mask(batch, rng)`, which masks statically if `rng` is None."""
    bidirectional.check_tokenizer(tokenizer, 'MaskedLM')
    selection = self.selection
    masker = masking.Masker(
        self.rate, self.masked, self.random, tokenizer.special('[MASK]'),
        tuple(tokenizer.control_ids), tokenizer.vocab_size,
        selection.build(tokenizer), selection.longest, selection.together)

    def mask(batch, rng):
      if rng is not None:
        rng = None if self.static else jax.random.fold_in(rng, 0)
      return masker(batch, masking.row_keys(batch, rng))
    return mask

  def scores(self, model: nn.Module, tokenizer: Any = None):
    """Returns `scores(params, batch) -> (nll_BT, correct_BT)`.

    See `pseudo_scores`.
    """
    bidirectional.check(model, 'MaskedLM')
    bidirectional.check_head(model, 'tokens', 'MaskedLM')
    bidirectional.check_tokenizer(tokenizer, 'MaskedLM')
    return functools.partial(
        pseudo_scores, model, mask_id=tokenizer.special('[MASK]'),
        control_ids=tuple(tokenizer.control_ids))


def dropout_key(rng: jax.Array | None) -> jax.Array | None:
  """Returns a key for dropout that masking does not use, or None for None."""
  return None if rng is None else jax.random.fold_in(rng, 1)


def guesses(model: nn.Module, params: Any, x_BTD: jax.Array,
            masked: masking.Masked, method: str = 'logits'
            ) -> tuple[dict[str, metrics.Mean], jax.Array]:
  """Returns the means over the chosen tokens of a batch, and their logits.

  Args:
    model: A module with a method that maps hidden states to logits.
    params: Its parameters.
    x_BTD: Hidden states of `masked.inputs_BT`.
    masked: The masked batch.
    method: The name of the method.

  Returns:
    Means over the chosen tokens, 'loss' and 'nll', in nats, and 'accuracy',
    with 'masked', the share of possible tokens that was chosen; `logits_BMV`.
  """
  x_BMD = jnp.take_along_axis(x_BTD, masked.places_BM[:, :, None], axis=1)
  logits_BMV = bidirectional.head(model, params, x_BMD, method)
  nll_BM, _ = losses.cross_entropy(logits_BMV, masked.targets_BM)
  correct_BM = losses.is_best(logits_BMV, masked.targets_BM)
  nll = metrics.Mean.of(nll_BM, masked.weights_BM)
  return {
      'loss': nll, 'nll': nll,
      'accuracy': metrics.Mean.of(correct_BM, masked.weights_BM),
      'masked': metrics.Mean.of(masked.chosen_BT, masked.possible_BT),
  }, logits_BMV


def pseudo_scores(
    model: nn.Module, params: Any, batch: Batch, *, mask_id: int,
    control_ids: tuple[int, ...] = (),
) -> tuple[jax.Array, jax.Array]:
  """Scores each target given all other tokens of its document in the row.

  The sum is the negative pseudo-log-likelihood, which is not a probability of
  the text: each token is also predicted from the tokens after it. The T inputs
  of a row are read with the last target appended, T + 1 tokens, once for each
  place where some row has a weight, with the target there masked.

  Args:
    model: A module with the interface of `models.encoder.Encoder`.
    params: Its parameters.
    batch: `inputs`, `targets`, `weights`, `positions` and `segments`, [B, T],
      as for a causal model: a target is the next input, except the last target
      of a segment, which is read if its weight is not 0.
    mask_id: The id of [MASK].
    control_ids: Targets with these ids are not masked and cost 0 nats, as the
      ends of a sentence do in the paper.

  Returns:
    `nll_BT` in nats and `correct_BT`, whether the target was the most likely
    token, true for control ids; both are 0 where the weight is 0.

  Raises:
    InputError: If the model cannot read T + 1 tokens.

  References:
    Salazar et al., Masked Language Model Scoring, arXiv:1910.14659, eq. 1.
  """
  targets_BT, weights_BT = batch['targets'], batch['weights']
  d = shapes.bind(targets_BT=targets_BT, weights_BT=weights_BT)
  if d.T >= model.config.context:
    raise errors.InputError(
        f'A pseudo-likelihood over {d.T} targets reads {d.T + 1} tokens, but '
        f'model.context is {model.config.context}; set '
        f'--config.scoring.context={model.config.context - 1}.')
  segments_BT = batch['segments']
  place_T = jnp.arange(d.T)
  ends_BT = jnp.concatenate(
      [segments_BT[:, 1:] != segments_BT[:, :-1], jnp.ones((d.B, 1), bool)], 1)
  last_BT = jax.lax.cummin(
      jnp.where(ends_BT, place_T[None], d.T), axis=1, reverse=True)
  given = np.array(control_ids, np.int32)
  weights_BT = jnp.where(
      jnp.isin(targets_BT, given), 0.0, jnp.asarray(weights_BT))

  def guess(place):
    last_B = last_BT[:, place]
    at_last = lambda x_BT: jnp.take_along_axis(x_BT, last_B[:, None], axis=1)
    known_B1 = at_last(batch['weights']) > 0
    inputs_BS = jnp.concatenate([batch['inputs'], at_last(targets_BT)], 1)
    positions_BS = jnp.concatenate(
        [batch['positions'], at_last(batch['positions']) + 1], 1)
    segments_BS = jnp.concatenate(
        [segments_BT, jnp.where(known_B1, at_last(segments_BT), 0)], 1)
    slot_B1 = jnp.where(last_B == place, d.T, place + 1)[:, None]
    inputs_BS = jnp.where(
        jnp.arange(d.T + 1)[None] == slot_B1, mask_id, inputs_BS)
    # The last target is not next to its segment, so the mask must compare
    # positions rather than places.
    x_BSD, _ = model.apply(
        {'params': params}, inputs_BS, masks.make(
            positions_BS, segments_BS, causal=False).replace(square=False),
        method='hidden')
    x_B1D = jnp.take_along_axis(x_BSD, slot_B1[:, :, None], axis=1)
    logits_B1V = bidirectional.head(model, params, x_B1D, 'logits')
    targets_B1 = targets_BT[:, place][:, None]
    nll_B1, _ = losses.cross_entropy(logits_B1V, targets_B1)
    return nll_B1[:, 0], losses.is_best(logits_B1V, targets_B1)[:, 0]

  def skip(place):
    del place
    return jnp.zeros(d.B, jnp.float32), jnp.zeros(d.B, bool)

  nll_TB, correct_TB = jax.lax.map(
      lambda place: jax.lax.cond(
          jnp.any(weights_BT[:, place] > 0), guess, skip, place), place_T)
  scored_BT = weights_BT > 0
  is_given_BT = (jnp.asarray(batch['weights']) > 0) & ~scored_BT
  return (jnp.where(scored_BT, nll_TB.T, 0.0),
          jnp.where(scored_BT, correct_TB.T, is_given_BT))
