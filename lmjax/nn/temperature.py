"""Logits at a temperature, without overflow."""
import jax
import jax.numpy as jnp


def scaled(logits_V: jax.Array, temperature: float | jax.Array) -> jax.Array:
  """Returns float32 logits at a temperature, the largest of each row being 0.

  The softmax of the result is softmax(logits / temperature). The largest logit
  is subtracted before the division: a temperature near 0 then leaves the best
  token at 0 and the others far below it, where dividing first would give inf
  for several tokens.

  Args:
    logits_V: Logits of any rank, over the last axis; -inf excludes a token.
    temperature: Divisor above 0; one number, or an array that broadcasts. It is
      limited to about 1e-38 to 1e38: XLA takes smaller numbers for 0, and the
      reciprocals of larger ones.

  Example:
    >>> import numpy as np
    >>> scaled(np.array([1.0, 3.0, 2.0]), 0.5).tolist()
    [-4.0, 0.0, -2.0]
    >>> jax.nn.softmax(scaled(np.array([1.0, 3.0, 2.0]), 1e-39)).tolist()
    [0.0, 1.0, 0.0]
  """
  logits_V = jnp.asarray(logits_V, jnp.float32)
  largest_1 = jax.lax.stop_gradient(
      jnp.max(logits_V, axis=-1, keepdims=True))  # It cancels in a softmax.
  least = jnp.finfo(jnp.float32).tiny
  return (logits_V - largest_1) / jnp.clip(
      jnp.asarray(temperature, jnp.float32), least, 1 / least)
