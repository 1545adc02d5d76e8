"""How each row of a batch draws its tokens, as arrays of one number a row.

A loop compiled once serves every temperature, cut and penalty, and the rows of
a batch may differ in them. What no row asks for is skipped as the loop runs.
"""
from collections.abc import Sequence

from flax import struct
import jax
import jax.numpy as jnp
import numpy as np

from lmjax.core import errors
from lmjax.core import shapes
from lmjax.generation import transforms


@struct.dataclass
class Rows:
  """The numbers of `transforms.Sampling`, and a key, for each of B rows.

  Attributes:
    temperature_B: 0 is greedy: the row then draws no random numbers.
    top_k_B: At least the size of the vocabulary: all tokens.
    top_p_B: 1: all tokens.
    typical_p_B: 1: all tokens.
    min_p_B: 0: all tokens.
    repetition_penalty_B: 1: none.
    presence_penalty_B, frequency_penalty_B: 0: none.
    keys_B: From which a row's n-th token is drawn as number n.
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
  """Returns how the rows of a batch draw.

  Args:
    samplings: One for all rows, or one for each of `count`.
    keys_B: A key for each row, those that fill up the batch among them.
    count: How many rows there are without these.

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

  The penalties come first, then the temperature, then the cuts, each on what
  the one before has left, as in `transforms.Sampling.build`.

  Args:
    how: The rows' ways of drawing.
    logits_BV: The model's.
    counts_BV: How often each token occurred in the prompt and since.
    drawn_B: How many tokens each row has drawn before.
  """
  d = shapes.bind(logits_BV=logits_BV, counts_BV=counts_BV)
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
    x_BV = logits_BV / jnp.where(random_B, how.temperature_B, 1.0)[:, None]
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

  # A batch of one kind is spared the work of the other, such as V random
  # numbers a row.
  none = lambda: jnp.zeros(d.B, jnp.int32)
  token_B = jax.lax.cond(jnp.any(random_B), at_random, none)
  best_B = jax.lax.cond(
      jnp.all(random_B), none, lambda: transforms.best(logits_BV))
  return jnp.where(random_B, token_B, best_B)


def _where(active_B, x_BV, change):
  """Returns `x_BV`, changed in the active rows; skipped if there are none."""
  return jax.lax.cond(
      jnp.any(active_B),
      lambda x_BV: jnp.where(active_B[:, None], change(x_BV), x_BV),
      lambda x_BV: x_BV, x_BV)
