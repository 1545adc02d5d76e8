"""Truncated backpropagation through time: batches pass on their state."""
from collections.abc import Callable
import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import ranges
from lmjax.nn import masks
from lmjax.objectives import lm
from lmjax.objectives import losses


@dataclasses.dataclass(frozen=True)
@ranges.checked
class TruncatedBPTT:
  """Next-token cross-entropy of a recurrent model that keeps its state.

  Each batch continues where the batch before ended (data packed as
  `Continuous`) and starts from its last state, through which no gradient flows.
  The regularisers of AWD-LSTM penalise large outputs of the last layer, after
  dropout, and large changes of these outputs, before dropout.

  Attributes:
    activation_reg: alpha, the weight of the mean square of the outputs (AR).
    temporal_reg: beta, the weight of the mean square of the change from one
      output of a document to the next (TAR).

  References:
    Williams and Peng, An Efficient Gradient-Based Algorithm for On-Line
    Training of Recurrent Network Trajectories, 1990; Merity et al.,
    arXiv:1708.02182, section 4.6 (AR and TAR).
  """
  activation_reg: ranges.NonNegative = 0.0
  temporal_reg: ranges.NonNegative = 0.0
  likelihood = 'exact'  # Kind of `scores`.

  def build(self, model: nn.Module, tokenizer: Any = None
            ) -> Callable[..., Any]:
    """Returns `objective(params, batch, rng=None, carry=None)`.

    Without a carry the objective returns {name: Mean} as every objective does;
    with a carry it returns ({name: Mean}, the carry after the batch).

    Raises:
      InputError: If the model has no state to carry.
    """
    del tokenizer  # Needs no special ids.
    check_recurrent(model)

    def objective(params, batch, rng=None, carry=None):
      found, after = truncated(
          model, params, batch, rng=rng, carry=carry,
          activation_reg=self.activation_reg, temporal_reg=self.temporal_reg)
      return found if carry is None else (found, after)
    return objective

  def carry(self, model: nn.Module, rows: int) -> Any:
    """Returns the carry before the first batch, for a number of rows."""
    check_recurrent(model)
    return model.empty_cache(rows)

  def scores(self, model: nn.Module, tokenizer: Any = None) -> lm.Scores:
    """Returns `scores(params, batch) -> (nll_BT, correct_BT)`."""
    return lm.Causal().scores(model, tokenizer)


def check_recurrent(model: nn.Module) -> None:
  """Checks that the model has recurrent layers with a state to carry.

  Raises:
    InputError: If the model lacks the trait `carries_state`.
  """
  if not model.config.traits.carries_state:
    raise errors.InputError(
        'TruncatedBPTT carries the state of a recurrent model; '
        f'{type(model).__name__} has none. Choose '
        '--config.model.kind=RecurrentConfig, or --config.objective.kind='
        'Causal.')


def truncated(
    model: nn.Module, params: Any, batch: lm.Batch, *,
    rng: jax.Array | None = None, carry: Any = None,
    activation_reg: float = 0.0, temporal_reg: float = 0.0,
) -> tuple[dict[str, metrics.Mean], Any]:
  """Returns the means over `targets`, given the carried state.

  Args:
    model: A module with the interface of `models.lstm.RecurrentModel`.
    params: Its parameters.
    batch: `inputs`, `targets`, `weights`, `positions` and `segments`, [B, T].
    rng: Key for dropout; None evaluates, without dropout.
    carry: The states before the batch; None begins with zeros.
    activation_reg: See `TruncatedBPTT`.
    temporal_reg: See `TruncatedBPTT`.

  Returns:
    Means over the weighted tokens, as in `lm.causal`, and the states after the
    batch.
  """
  mask = masks.make(batch['positions'], batch['segments'])
  raw_BTD, dropped_BTD, carry = model.apply(
      {'params': params}, batch['inputs'], mask, cache=carry,
      train=rng is not None, method='outputs',
      rngs=None if rng is None else {'dropout': rng})
  logits_BTV = model.apply({'params': params}, dropped_BTD, method='logits')
  nll_BT, _ = losses.cross_entropy(logits_BTV, batch['targets'])
  loss_BT = nll_BT
  if activation_reg:
    loss_BT += activation_reg * _mean_square(dropped_BTD)
  if temporal_reg:
    # The first output of a row or of a document has no output before it.
    change_BTD = jnp.diff(raw_BTD, axis=1, prepend=raw_BTD[:, :1])
    changes_BT = (batch['positions'] > 0).astype(jnp.float32)
    loss_BT += temporal_reg * changes_BT * _mean_square(change_BTD)
  weights_BT = batch['weights']
  correct_BT = losses.is_best(logits_BTV, batch['targets'])
  return {
      'loss': metrics.Mean.of(loss_BT, weights_BT),
      'nll': metrics.Mean.of(nll_BT, weights_BT),
      'accuracy': metrics.Mean.of(correct_BT, weights_BT),
  }, carry


def scores_and_carry(
    model: nn.Module, params: Any, batch: lm.Batch, carry: Any
) -> tuple[tuple[jax.Array, jax.Array], Any]:
  """Returns (`nll_BT`, `correct_BT`) of `lm.scores_of`, and the new states.

  Args:
    model: See `truncated`.
    params: Its parameters.
    batch: `inputs`, `targets`, `weights`, `positions` and `segments`, [B, T].
    carry: The states before the batch.
  """
  x_BTD, carry = model.apply(
      {'params': params}, batch['inputs'],
      masks.make(batch['positions'], batch['segments']), cache=carry,
      method='hidden')
  return lm.scores_of(
      model, params, x_BTD, batch['targets'], batch['weights']), carry


def _mean_square(x_BTD):
  return jnp.mean(jnp.square(x_BTD.astype(jnp.float32)), axis=-1)
