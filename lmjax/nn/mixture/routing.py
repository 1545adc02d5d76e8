"""Sends tokens to experts, and brings back what those make of them.

Axes besides the house's: E experts, A choices a token, M choices in all, G
groups or blocks of R places each. Nothing here knows what an expert computes.

Choices are numbered in the order of their tokens, so where places run out the
earlier tokens have them: in training, too, no token depends on a later one.
"""
from collections.abc import Callable
import functools
import math

from flax import struct
import jax
import jax.numpy as jnp

from lmjax.core import shapes

# Makes of `x_ERD`, R tokens for each expert, what the experts make of them. If
# choices are numbered, the second argument is `number_ER`, which each is.
Experts = Callable[..., jax.Array]


@struct.dataclass
class Routes:
  """Where each token goes.

  Attributes:
    choice_BTA: The experts chosen, the best first; E for padding: none.
    gates_BTA: Their weights in the sum, float32; 0 for padding.
  """
  choice_BTA: jax.Array
  gates_BTA: jax.Array


def route(logits_BTE: jax.Array, real_BT: jax.Array, top_k: int,
          normalize: bool = True) -> Routes:
  """Chooses the `top_k` most probable experts of each token.

  Args:
    logits_BTE: The router's, float32.
    real_BT: Which tokens are not padding.
    top_k: A, how many experts a token goes to.
    normalize: Whether the gates are the softmax over the chosen experts alone,
      as in Mixtral, or their probabilities among all, as in Switch.

  References:
    Shazeer et al., Outrageously Large Neural Networks, arXiv:1701.06538, eq.
    3-5 (without noise); Jiang et al., Mixtral of Experts, arXiv:2401.04088,
    section 2.1; Fedus et al., Switch Transformers, arXiv:2101.03961, eq. 1-2.
  """
  shapes.bind(logits_BTE=logits_BTE, real_BT=real_BT)
  gates_BTA, choice_BTA = jax.lax.top_k(
      jax.nn.softmax(logits_BTE, axis=-1), top_k)
  if normalize:
    gates_BTA /= jnp.sum(gates_BTA, axis=-1, keepdims=True)
  real_BT1 = real_BT[..., None]
  return Routes(jnp.where(real_BT1, choice_BTA, logits_BTE.shape[-1]),
                jnp.where(real_BT1, gates_BTA, 0.0))


def balance_loss(logits_BTE: jax.Array, routes: Routes, real_BT: jax.Array
                 ) -> jax.Array:
  """Returns how unevenly each row's tokens go to the experts, `balance_B`.

  E times the sum over experts of the share of the row's choices that fell on
  an expert, times the mean probability it had: 1 where both are even, E where
  one expert takes all. Its average is over the tokens of a row, so that it is
  the same however rows are dealt to devices and microbatches.

  References:
    Fedus et al., Switch Transformers, arXiv:2101.03961, eq. 4-6, for one
    choice a token over a batch; DeepSeek-AI, DeepSeek-V3, arXiv:2412.19437,
    eq. 17-20, for several over a sequence.
  """
  d = shapes.bind(logits_BTE=logits_BTE, choice_BTA=routes.choice_BTA)
  count_B1 = jnp.maximum(jnp.sum(real_BT, axis=1, keepdims=True), 1)
  probs_BTE = jnp.where(
      real_BT[..., None], jax.nn.softmax(logits_BTE, axis=-1), 0.0)
  chosen_BE = jnp.sum(jax.nn.one_hot(routes.choice_BTA, d.E), axis=(1, 2))
  share_BE = chosen_BE / (d.A * count_B1)
  return d.E * jnp.sum(
      share_BE * jnp.sum(probs_BTE, axis=1) / count_B1, axis=-1)


def router_z_loss(logits_BTE: jax.Array, real_BT: jax.Array) -> jax.Array:
  """Returns the mean squared log-normaliser over each row's tokens, `z_B`.

  References:
    Zoph et al., ST-MoE, arXiv:2202.08906, eq. 5.
  """
  shapes.bind(logits_BTE=logits_BTE, real_BT=real_BT)
  z_BT = jnp.square(jax.nn.logsumexp(logits_BTE, axis=-1))
  return jnp.sum(jnp.where(real_BT, z_BT, 0.0), axis=1) / jnp.maximum(
      jnp.sum(real_BT, axis=1), 1)


def room(tokens: int, top_k: int, num_experts: int, factor: float | None
         ) -> int:
  """Returns how many of a row's tokens an expert takes.

  Args:
    tokens: T, a row's; no expert can be chosen more often.
    top_k: Choices a token.
    num_experts: E.
    factor: Of the choices an expert has where they are even; None: no limit.

  References:
    Fedus et al., Switch Transformers, arXiv:2101.03961, eq. 3.
  """
  if factor is None:
    return tokens
  return min(tokens, math.ceil(factor * tokens * top_k / num_experts))


def _ranks(choice_GM: jax.Array, num_experts: int
           ) -> tuple[jax.Array, jax.Array]:
  """Returns how many earlier choices of a group fell on the same expert.

  Also how many choices of the group fell on each expert, `sizes_GE`.
  """
  hot_GME = choice_GM[..., None] == jnp.arange(num_experts)[None, None]
  upto_GME = jnp.cumsum(hot_GME, axis=1, dtype=jnp.int32)
  rank_GM = jnp.sum(jnp.where(hot_GME, upto_GME - 1, 0), axis=-1)
  return rank_GM, upto_GME[:, -1]


def _spread(x_BTD: jax.Array, place_M: jax.Array, size: int) -> jax.Array:
  """Returns `size` places filled with the tokens of the choices, `x_SD`.

  A choice whose place is `size` gets none; a place not chosen holds zeros.
  """
  token_M = jnp.arange(place_M.size) // (
      place_M.size // (x_BTD.shape[0] * x_BTD.shape[1]))
  x_MD = jnp.take(x_BTD.reshape(-1, x_BTD.shape[-1]), token_M, axis=0)
  return jnp.zeros((size, x_BTD.shape[-1]), x_BTD.dtype).at[place_M].set(
      x_MD, mode='drop')


def _numbers(number_BT: jax.Array | None, place_M: jax.Array, size: int
             ) -> list[jax.Array]:
  """Returns which choice is at each of `size` places, if they are numbered."""
  if number_BT is None:
    return []
  choices = place_M.size // number_BT.size
  number_M = (number_BT[..., None] * choices + jnp.arange(
      choices, dtype=number_BT.dtype)[None, None]).reshape(-1)
  return [jnp.zeros(size, number_M.dtype).at[place_M].set(
      number_M, mode='drop')]


def _gathered(y_SD: jax.Array, place_M: jax.Array, gates_BTA: jax.Array
              ) -> jax.Array:
  """Returns each token's sum over its choices, weighted by the gates."""
  y_MD = jnp.take(y_SD, place_M, axis=0, mode='fill', fill_value=0)
  y_BTAD = y_MD.reshape(*gates_BTA.shape, -1).astype(jnp.float32)
  return jnp.sum(y_BTAD * gates_BTA[..., None], axis=2).astype(y_SD.dtype)


def with_room(experts: Experts, x_BTD: jax.Array, routes: Routes,
              num_experts: int, room: int,
              number_BT: jax.Array | None = None
              ) -> tuple[jax.Array, jax.Array]:
  """Sends tokens to experts that take at most `room` of each row.

  A choice for which no room is left is dropped: the token gets nothing from
  that expert. Rows do not compete, so it does not matter how many there are.

  Args:
    experts: What computes, on [E, B * room, D].
    x_BTD: The tokens.
    routes: Where they go.
    num_experts: E.
    room: R; from T on nothing is dropped.
    number_BT: Numbers of the tokens, for experts that want to know which
      choice they compute: number times A, and the choice's place among them.

  Returns:
    `y_BTD`, and the share of each row's choices that were dropped, `share_B`.
  """
  d = shapes.bind(x_BTD=x_BTD, choice_BTA=routes.choice_BTA)
  choice_BM = routes.choice_BTA.reshape(d.B, -1)
  rank_BM, _ = _ranks(choice_BM, num_experts)
  chosen_BM = choice_BM < num_experts
  kept_BM = chosen_BM & (rank_BM < room)
  size = num_experts * d.B * room
  place_BM = jnp.where(
      kept_BM,
      (choice_BM * d.B + jnp.arange(d.B)[:, None]) * room + rank_BM, size)
  place_M = place_BM.reshape(-1)
  filled = _spread(x_BTD, place_M, size), *_numbers(number_BT, place_M, size)
  y_SD = experts(*(x.reshape(num_experts, -1, *x.shape[1:]) for x in filled)
                 ).reshape(size, -1)
  lost_B = jnp.sum(chosen_BM & ~kept_BM, axis=1)
  return (_gathered(y_SD, place_M, routes.gates_BTA),
          lost_B / jnp.maximum(jnp.sum(chosen_BM, axis=1), 1))


def dropless(experts: Callable[..., jax.Array], x_BTD: jax.Array,
             routes: Routes, num_experts: int,
             number_BT: jax.Array | None = None) -> jax.Array:
  """Sends every token to all experts it chose, and returns `y_BTD`.

  Args:
    experts: What computes, on `x_MD`, the tokens sorted by expert, if choices
      are numbered `number_M`, and `sizes_E=`, how many each expert has; what
      comes after those is padding.
    x_BTD: The tokens.
    routes: Where they go.
    num_experts: E.
    number_BT: As in `with_room`.
  """
  choice_1M = routes.choice_BTA.reshape(1, -1)
  rank_1M, sizes_1E = _ranks(choice_1M, num_experts)
  sizes_E = sizes_1E[0]
  start_E = jnp.cumsum(sizes_E) - sizes_E
  place_M = jnp.where(
      choice_1M < num_experts,
      start_E[jnp.minimum(choice_1M, num_experts - 1)] + rank_1M,
      choice_1M.size)[0]
  size = place_M.size
  y_SD = experts(_spread(x_BTD, place_M, size),
                 *_numbers(number_BT, place_M, size), sizes_E=sizes_E)
  return _gathered(y_SD, place_M, routes.gates_BTA)


def exchanged(experts: Experts, axis_name: str) -> Experts:
  """Returns experts that are spread over the devices of a mapped axis.

  Each device holds E / devices of them, in order, and tokens of its own. Two
  all-to-alls send its tokens to the experts' devices and their results back.
  In the backward pass they do the same with the cotangents, so the gradient of
  a device's experts is that of the sum of all devices' losses: add it to
  nothing, while gradients of replicated parameters are still to be summed.

  Args:
    experts: The device's, on [E / devices, devices * R, D].
    axis_name: Of `jax.pmap` or `jax.shard_map`.

  References:
    Lepikhin et al., GShard, arXiv:2006.16668, section 3.2.
  """
  send = functools.partial(jax.lax.all_to_all, axis_name=axis_name, tiled=True)

  def everywhere(*filled):
    return send(experts(*(send(x, split_axis=0, concat_axis=1)
                          for x in filled)), split_axis=1, concat_axis=0)
  return everywhere
