"""Losses of logits, computed in float32, as totals and weights."""
import jax
import jax.numpy as jnp

from lmjax.core import errors
from lmjax.core import metrics
from lmjax.core import shapes


def cross_entropy(
    logits_BTV: jax.Array, targets_BT: jax.Array
) -> tuple[jax.Array, jax.Array]:
  """Returns the negative log-likelihood and log-normaliser of each target.

  Args:
    logits_BTV: Unnormalised log-probabilities; cast to float32.
    targets_BT: Class ids in [0, V). No id means "ignore": callers give targets
      that should not count weight 0. An id outside the range gives NaN.

  Returns:
    `nll_BT` in nats and `log_normalizer_BT`, both float32.

  Raises:
    InputError: If targets are no integers.
  """
  shapes.bind(logits_BTV=logits_BTV, targets_BT=targets_BT)
  if not jnp.issubdtype(targets_BT.dtype, jnp.integer):
    raise errors.InputError(
        f'targets should be ids, integers; got an array of {targets_BT.dtype}: '
        'convert it with astype(int).')
  logits_BTV = logits_BTV.astype(jnp.float32)
  log_normalizer_BT = jax.nn.logsumexp(logits_BTV, axis=-1)
  # Negative ids would index the last classes: map them to V, which gives NaN.
  size = logits_BTV.shape[-1]
  index_BT = jnp.where(targets_BT < 0, size, targets_BT)
  picked_BT = jnp.take_along_axis(
      logits_BTV, index_BT[..., None], axis=-1, mode='fill')[..., 0]
  return log_normalizer_BT - picked_BT, log_normalizer_BT


def is_best(logits_BTV: jax.Array, targets_BT: jax.Array) -> jax.Array:
  """Returns whether the target has the largest logit, bool.

  Compares with the largest logit: on a CPU, XLA takes 25 times as long for an
  argmax.

  Args:
    logits_BTV: Any number of axes, classes last.
    targets_BT: The same axes without the last.
  """
  picked_BT = jnp.take_along_axis(
      logits_BTV, jnp.expand_dims(targets_BT, -1), axis=-1, mode='clip')[..., 0]
  return picked_BT >= jnp.max(logits_BTV, axis=-1)


def smoothed(nll_BT: jax.Array, logits_BTV: jax.Array,
             log_normalizer_BT: jax.Array, amount: float) -> jax.Array:
  """Returns the cross-entropy of targets mixed with a uniform distribution.

  References:
    Szegedy et al., Rethinking the Inception Architecture, arXiv:1512.00567,
    section 7.
  """
  uniform_BT = log_normalizer_BT - jnp.mean(
      logits_BTV.astype(jnp.float32), axis=-1)
  return (1 - amount) * nll_BT + amount * uniform_BT


def token_means(
    logits_BTV: jax.Array, targets_BT: jax.Array, weights_BT: jax.Array, *,
    label_smoothing: float = 0.0, z_loss: float = 0.0
) -> dict[str, metrics.Mean]:
  """Returns the means over the weighted tokens that objectives report.

  Args:
    logits_BTV: Unnormalised log-probabilities.
    targets_BT: The tokens that the logits should predict.
    weights_BT: Weight of each token; 0 leaves it out.
    label_smoothing: Share of the target spread evenly over the vocabulary.
    z_loss: Weight of the squared log-normaliser.

  Returns:
    'loss' is what training minimises, 'nll' the plain negative log-likelihood
    in nats, 'accuracy' the share of targets that were the most likely token.
  """
  shapes.bind(targets_BT=targets_BT, weights_BT=weights_BT)
  nll_BT, log_normalizer_BT = cross_entropy(logits_BTV, targets_BT)
  loss_BT = nll_BT
  if label_smoothing:
    loss_BT = smoothed(nll_BT, logits_BTV, log_normalizer_BT, label_smoothing)
  if z_loss:
    loss_BT += z_loss * jnp.square(log_normalizer_BT)
  correct_BT = is_best(logits_BTV, targets_BT)
  return {
      'loss': metrics.Mean.of(loss_BT, weights_BT),
      'nll': metrics.Mean.of(nll_BT, weights_BT),
      'accuracy': metrics.Mean.of(correct_BT, weights_BT),
  }
