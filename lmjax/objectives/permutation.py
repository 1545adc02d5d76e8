"""Permutation language modelling: predict tokens in a random order."""
from collections.abc import Callable, Mapping
import dataclasses
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import draws
from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.core import shapes
from lmjax.nn import masks
from lmjax.nn import readout
from lmjax.objectives import lm
from lmjax.objectives import losses

Batch = Mapping[str, jax.Array]
Objective = Callable[..., dict[str, metrics.Mean]]

_GIVEN = -1.0  # The order of tokens that are given.


@dataclasses.dataclass(frozen=True)
@ranges.checked
class PermutationLM:
  """Predicts the last tokens of a random order, each from all before it.

  Orders are drawn anew for every row and step. Only the last tokens of an order
  are predicted, because the first ones have little context; the other tokens
  are given, and see each other. The first token of a document is always given.

  Attributes:
    predict: Average share of tokens that are predicted; 1 / K in the paper.
    longest: Tokens are predicted in spans whose lengths are uniform from 1 to
      this; 1 draws single tokens, 5 is the paper's value.
    order: How `scores` factorises a text: in 'random' orders, or
      'left_to_right' as a causal model does.
    orders: Number of random orders that `scores` averages over.

  References:
    Yang et al., XLNet, arXiv:1906.08237, eq. 3 to 5 and appendix A.6 (spans).
    The paper's memory of earlier segments is left out: the model reads only the
    row.
  """
  predict: ranges.PositiveShare = 1 / 6
  longest: ranges.Count = 1
  order: Literal['random', 'left_to_right'] = 'random'
  orders: ranges.Count = 4

  likelihood = 'permutation'  # Kind of `scores`.

  def build(self, model: nn.Module, tokenizer: Any = None) -> Objective:
    """Returns `objective(params, batch, rng=None) -> {name: Mean}`.

    The predicted tokens are `inputs` of the batch. An input has the weight that
    it has as the target of the input before it.

    Raises:
      InputError: If the model has no second stream.
    """
    del tokenizer  # Needs no special ids.
    _check(model)

    def objective(params, batch, rng=None):
      key = jax.random.key(0) if rng is None else jax.random.fold_in(rng, 0)
      order_BT, predicted_BT = draw(
          key, batch, self.predict, self.longest)
      logits_BTV, _ = model.apply(
          {'params': params}, batch['inputs'],
          masks.make(batch['positions'], batch['segments'], causal=False),
          order_BT=order_BT, **readout.typed(model, batch.get('types')),
          train=rng is not None,
          rngs=None if rng is None else {
              'dropout': jax.random.fold_in(rng, 1)})
      nll_BT, _ = losses.cross_entropy(logits_BTV, batch['inputs'])
      correct_BT = losses.is_best(logits_BTV, batch['inputs'])
      return {
          'loss': metrics.Mean.of(nll_BT, predicted_BT),
          'nll': metrics.Mean.of(nll_BT, predicted_BT),
          'accuracy': metrics.Mean.of(correct_BT, predicted_BT),
          'predicted': metrics.Mean.of(predicted_BT, counted(batch)),
      }
    return objective

  def scores(self, model: nn.Module, tokenizer: Any = None) -> lm.Scores:
    """Returns `scores(params, batch) -> (nll_BT, correct_BT)`.

    A text's loss under one order is a proper likelihood: it factorises over the
    tokens in that order. The mean over several orders is an upper bound of the
    loss of their mixture. Targets with weight 0 are given.
    """
    del tokenizer
    _check(model)

    def scores(params, batch):
      place, rows = whole(batch)
      if self.order == 'left_to_right':
        return ordered_scores(model, params, place, rows, place['positions'])
      length = place['positions'].shape[1]
      keys = jax.random.split(jax.random.key(0), self.orders)

      # Orders positions, not places in the row, so that packing has no effect.
      def of_order(key):
        order_T = jax.random.permutation(key, length).astype(jnp.float32)
        return ordered_scores(
            model, params, place, rows, order_T[place['positions']])
      nll_BT, correct_BT = jax.lax.map(of_order, keys)
      return jnp.mean(nll_BT, axis=0), jnp.mean(
          correct_BT.astype(jnp.float32), axis=0)
    return scores


def draw(key: jax.Array, batch: Batch, share: float, longest: int = 1
         ) -> tuple[jax.Array, jax.Array]:
  """Returns a random order, and which tokens are predicted.

  Args:
    key: Key of the draw.
    batch: `inputs`, `weights`, `positions` and `segments`, [B, T].
    share: Average share of predicted tokens among those after a document's
      first.
    longest: Most tokens of a predicted span; see `spans`.

  Returns:
    `order_BT`, -1 for given tokens, and `predicted_BT`, 1 or 0.
  """
  rows, length = batch['inputs'].shape
  noise_BT = draws.of_rows(
      lambda rows: jax.random.uniform(key, (rows, length)), rows)
  last_BT = noise_BT >= 1 - share
  if longest > 1:  # The noise still orders the tokens within a span.
    keys_B = draws.of_rows(
        lambda rows: jax.random.split(jax.random.fold_in(key, 1), rows), rows)
    last_BT = jax.vmap(spans, (0, None, None, None))(
        keys_B, length, share, longest)
  last_BT &= (batch['positions'] > 0) & (counted(batch) > 0)
  return (jnp.where(last_BT, noise_BT, _GIVEN),
          last_BT.astype(jnp.float32))


def spans(key: jax.Array, length: int, share: float, longest: int
          ) -> jax.Array:
  """Returns which places of a row lie in random spans, bool [length].

  The row is cut into stretches. Each stretch holds one span of L places at a
  random offset, with L uniform from 1 to `longest`, and is L / `share` places
  long on average.

  Args:
    key: Key of the draw.
    length: Number of places in the row.
    share: Average share of places that lie in spans.
    longest: Most places of a span.
  """
  keys = jax.random.split(key, 4)
  most = length + int(longest / share) + 1
  size_S = jax.random.randint(keys[0], (most,), 1, longest + 1)
  room_S = jnp.floor(
      size_S / share + jax.random.uniform(keys[1], (most,))).astype(jnp.int32)
  # A random shift of the first stretch gives all places the same probability.
  end_S = jnp.cumsum(room_S) - jax.random.randint(
      keys[2], (), 0, int(longest / share) + 1)
  shift_S = jax.random.uniform(keys[3], (most,)) * (room_S - size_S + 1)
  start_S = end_S - room_S + shift_S.astype(jnp.int32)
  place_T = jnp.arange(length)
  at_T = jnp.searchsorted(end_S, place_T, side='right')
  return (start_S[at_T] <= place_T) & (
      place_T < start_S[at_T] + size_S[at_T])


def counted(batch: Batch) -> jax.Array:
  """Returns the inputs' `weights_BT`: their weights as targets."""
  segments_BT = batch['segments']
  before_BT = jnp.pad(batch['weights'], ((0, 0), (1, 0)))[:, :-1]
  same_BT = segments_BT == jnp.pad(segments_BT, ((0, 0), (1, 0)))[:, :-1]
  return before_BT * (same_BT & (segments_BT > 0))


def whole(batch: Batch) -> tuple[dict[str, jax.Array], int]:
  """Lays out each document's first token and all of its targets.

  A row of T inputs has no place for the target of its last input, so rows
  become 2 T long: the first T places hold the first tokens of documents, the
  last T places the targets.

  Returns:
    `inputs`, `positions`, `segments` and `weights`, [B, 2 T], and T.
  """
  segments_BT, positions_BT = batch['segments'], batch['positions']
  after_BT = jnp.pad(segments_BT, ((0, 0), (0, 1)))[:, 1:]
  # The target of a document's last token belongs to it only if it counts.
  within_BT = (batch['weights'] > 0) | (after_BT == segments_BT)
  first_BT = positions_BT == 0

  def join(x, y):
    return jnp.concatenate([x, y], axis=1)
  return {
      'inputs': join(batch['inputs'], batch['targets']),
      'positions': join(positions_BT, positions_BT + 1),
      'segments': join(jnp.where(first_BT, segments_BT, 0),
                       jnp.where(within_BT, segments_BT, 0)),
      'weights': join(jnp.zeros_like(batch['weights']), batch['weights']),
  }, segments_BT.shape[1]


def ordered_scores(
    model: nn.Module, params: Any, place: Batch, length: int,
    order_BT: jax.Array,
) -> tuple[jax.Array, jax.Array]:
  """Returns `nll_BT` and `correct_BT` of the targets under one order."""
  shapes.bind(inputs_BT=place['inputs'], order_BT=order_BT)
  order_BT = jnp.where(
      place['weights'] > 0, order_BT.astype(jnp.float32), _GIVEN)
  x_BTD, _ = model.apply(
      {'params': params}, place['inputs'],
      masks.make(place['positions'], place['segments'], causal=False),
      order_BT=order_BT, method='hidden')
  return lm.scores_of(
      model, params, x_BTD[:, length:], place['inputs'][:, length:],
      place['weights'][:, length:])


def _check(model: nn.Module) -> None:
  if not model.config.traits.two_stream:
    raise errors.InputError(
        f'Permutation language modelling needs two streams of attention; '
        f'{type(model).__name__} has one. Choose '
        '--config.model.kind=XLNetConfig, or the objective Causal or MaskedLM.')
