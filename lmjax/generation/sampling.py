"""Sampling parameters of a batch, as arrays with one number per row.

A loop compiled once serves every temperature, cut and penalty, and the rows of
a batch may differ in them. A change that no row uses is skipped at run time.
"""
from collections.abc import Sequence

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import shapes
from lmjax.generation import transforms
from lmjax.nn import temperature


@struct.dataclass
class Rows:
  """The fields of `transforms.Sampling`, and a key, for each of B rows.

  Attributes:
    temperature_B: Divides the logits; 0 is greedy, without random numbers.
    top_k_B: Number of tokens to keep; the vocabulary's size or more keeps all.
    top_p_B: Probability to keep; 1 keeps all tokens.
    typical_p_B: Probability of typical tokens to keep; 1 keeps all tokens.
    min_p_B: Least probability relative to the best token; 0 keeps all tokens.
    repetition_penalty_B: Factor on tokens that occurred; 1 changes nothing.
    presence_penalty_B, frequency_penalty_B: Subtracted from tokens that
      occurred, once or for each time; 0 changes nothing.
    keys_B: Keys; the n-th token of a row is drawn with n folded into its key.
  """
  temperature_B: jax.Array | np.ndarray
  top_k_B: jax.Array | np.ndarray
  top_p_B: jax.Array | np.ndarray
  typical_p_B: jax.Array | np.ndarray
  min_p_B: jax.Array | np.ndarray
  repetition_penalty_B: jax.Array | np.ndarray
  presence_penalty_B: jax.Array | np.ndarray
  frequency_penalty_B: jax.Array | np.ndarray
  keys_B: jax.Array


_ALL = dict(top_k=np.iinfo(np.int32).max, top_p=1.0, typical_p=1.0, min_p=0.0)


def rows(samplings: transforms.Sampling | Sequence[transforms.Sampling],
         keys_B: jax.Array, count: int) -> Rows:
  """Returns the sampling parameters of the rows of a batch.

  Args:
    samplings: One for all rows, or one for each of `count` rows.
    keys_B: A key for each row, rows of padding included.
    count: Number of rows without padding.

  Raises:
    InputError: If there are neither one nor `count` samplings.
  """
  if isinstance(samplings, transforms.Sampling):
    samplings = [samplings] * count
  if len(samplings) != count:
    raise errors.InputError(
        f'sampling should be one for all prompts, or one for each of {count}; '
        f'got {len(samplings)}.')

  def values(name, dtype=np.float32):
    given = [getattr(sampling, name) for sampling in samplings]
    given = [_ALL[name] if value is None else value for value in given]
    return np.array(given, dtype)[
        np.minimum(np.arange(len(keys_B)), count - 1)]

  return Rows(
      values('temperature'),
      np.minimum(values('top_k', np.int64), _ALL['top_k']).astype(np.int32),
      values('top_p'), values('typical_p'), values('min_p'),
      values('repetition_penalty'), values('presence_penalty'),
      values('frequency_penalty'), keys_B)


def draw(how: Rows, logits_BV: jax.Array, counts_BV: jax.Array,
         drawn_B: jax.Array) -> jax.Array:
  """Returns the next token of each row, `token_B`.

  Applies the penalties first, then the temperature, then the cuts, each to the
  result of the one before, as `transforms.Sampling.build` does.

  Args:
    how: The rows' sampling parameters.
    logits_BV: The model's logits.
    counts_BV: Number of times each token occurred in the prompt and since.
    drawn_B: Number of tokens that each row has drawn before.
  """
  d = shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
  logits_BV = jnp.asarray(logits_BV, jnp.float32)
  logits_BV = _where(
      how.repetition_penalty_B != 1, logits_BV,
      lambda x_BV: transforms.penalized(
          x_BV, counts_BV, how.repetition_penalty_B[:, None]))
  logits_BV = _where(
      (how.presence_penalty_B != 0) | (how.frequency_penalty_B != 0), logits_BV,
      lambda x_BV: transforms.counted(
          x_BV, counts_BV, how.presence_penalty_B[:, None],
          how.frequency_penalty_B[:, None]))
  random_B = how.temperature_B > 0

  def at_random():
    x_BV = temperature.scaled(
        logits_BV, jnp.where(random_B, how.temperature_B, 1.0)[:, None])
    cuts = (
        (how.top_k_B < d.V, transforms.of_rank, how.top_k_B),
        (how.top_p_B < 1, transforms.of_mass, how.top_p_B),
        (how.typical_p_B < 1, transforms.of_typical_mass, how.typical_p_B),
        (how.min_p_B > 0, transforms.near_the_best, how.min_p_B))

    def cut(x_BV):
      for active_B, transform, value_B in cuts:
        x_BV = _where(
            active_B & random_B, x_BV,
            lambda x_BV, transform=transform, value_B=value_B: transform(
                x_BV, value_B[:, None]))
      return x_BV

    some = sum(active_B & random_B for active_B, *_ in cuts)
    x_BV = jax.lax.cond(jnp.any(some > 0), cut, lambda x_BV: x_BV, x_BV)
    keys_B = jax.vmap(jax.random.fold_in)(how.keys_B, drawn_B)
    return jax.vmap(jax.random.categorical)(keys_B, x_BV)

  # A batch without random rows skips their work, such as V random numbers per
  # row; a batch without greedy rows skips theirs.
  none = lambda: jnp.zeros(d.B, jnp.int32)
  token_B = jax.lax.cond(jnp.any(random_B), at_random, none)
  best_B = jax.lax.cond(
      jnp.all(random_B), none, lambda: transforms.best(logits_BV))
  return jnp.where(random_B, token_B, best_B)


def _where(active_B, x_BV, change):
  """Returns `x_BV` with `change` in the active rows; skips it without any."""
  return jax.lax.cond(
      jnp.any(active_B),
      lambda x_BV: jnp.where(active_B[:, None], change(x_BV), x_BV),
      lambda x_BV: x_BV, x_BV)
