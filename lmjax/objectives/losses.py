"""Losses on logits, in float32 and without a division."""
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import shapes


def cross_entropy(
    logits_BTV: jax.Array, targets_BT: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Returns each target's negative log-likelihood and log-normaliser.

  Args:
    logits_BTV: Unnormalised log-probabilities; computed in float32.
    targets_BT: Class ids in [0, V). What should not count gets weight 0 later:
      no id means "ignore", and an id outside the range gives NaN.

  Returns:
    `nll_BT` in nats and `log_normalizer_BT`, both float32.
  """
  shapes.bind(logits_BTV=logits_BTV, targets_BT=targets_BT)
  logits_BTV = logits_BTV.astype(jnp.float32)
  log_normalizer_BT = jax.nn.logsumexp(logits_BTV, axis=-1)
  # Negative ids would wrap around to the last classes: make them NaN as well.
  size = logits_BTV.shape[-1]
  index_BT = jnp.where(targets_BT < 0, size, targets_BT)
  picked_BT = jnp.take_along_axis(
      logits_BTV, index_BT[..., None], axis=-1, mode='fill')[..., 0]
  return log_normalizer_BT - picked_BT, log_normalizer_BT


def check_smoothing(amount: float) -> None:
  """Refuses an amount of label smoothing that is no share of the target."""
  if not 0 <= amount < 1:
    raise errors.InputError(
        f'objective.label_smoothing should be in [0, 1); got {amount}.')


def smoothed(nll_BT: jax.Array, logits_BTV: jax.Array,
             log_normalizer_BT: jax.Array, amount: float) -> jax.Array:
  """Returns the cross-entropy against targets mixed with the uniform.

  References:
    Szegedy et al., Rethinking the Inception Architecture, arXiv:1512.00567,
    section 7.
  """
  uniform_BT = log_normalizer_BT - jnp.mean(
      logits_BTV.astype(jnp.float32), axis=-1)
  return (1 - amount) * nll_BT + amount * uniform_BT
