"""Routing: sends tokens to experts, and returns the experts' outputs to them.

Additional axes: E experts, A choices per token, M choices in total, G groups or
blocks of R places each. This module does not depend on the experts' network.

Choices are numbered in the order of their tokens, so earlier tokens get the
places where there are too few. Thus no token depends on a later one, in
training as well.
"""
from collections.abc import Callable
import functools
import math

from flax import struct
import jax
import jax.numpy as jnp

from lmjax.core import shapes

# Maps `x_ERD`, R tokens for each expert, to the experts' outputs. If choices
# are numbered, the second argument is `number_ER`, the number of each choice.
Experts = Callable[..., jax.Array]


@struct.dataclass
class Routes:
  """The experts of each token.

  Attributes:
    choice_BTA: The chosen experts, the most probable first; E for padding.
    gates_BTA: The weight of each chosen expert, float32; 0 for padding.
  """
  choice_BTA: jax.Array
  gates_BTA: jax.Array


def route(logits_BTE: jax.Array, real_BT: jax.Array, top_k: int,
          normalize: bool = True) -> Routes:
  """Chooses the `top_k` most probable experts of each token.

  Args:
    logits_BTE: Logits of the router, float32.
    real_BT: False for padding.
    top_k: A, the number of experts that each token goes to.
    normalize: Whether the gates are a softmax over the chosen experts only, as
      in Mixtral, or their probabilities among all experts, as in Switch.

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
  """Returns the load-balancing loss of each row, `balance_B`.

  The loss is E times the sum over experts of the expert's share of the row's
  choices times the expert's mean probability. It is 1 if both are uniform, and
  E if one expert takes all. It averages over the tokens of a row, so it does
  not depend on how rows are divided over devices and microbatches.

  References:
    Fedus et al., Switch Transformers, arXiv:2101.03961, eq. 4-6, for one
    choice per token over a batch; DeepSeek-AI, DeepSeek-V3, arXiv:2412.19437,
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
  """Returns the largest number of a row's tokens that an expert takes.

  Args:
    tokens: T, the number of tokens in a row, which is an upper limit.
    top_k: Number of choices per token.
    num_experts: E.
    factor: The room, as a multiple of an expert's number of choices under even
      routing; None for no limit.

  References:
    Fedus et al., Switch Transformers, arXiv:2101.03961, eq. 3.
  """
  if factor is None:
    return tokens
  return min(tokens, math.ceil(factor * tokens * top_k / num_experts))


def _ranks(choice_GM: jax.Array, num_experts: int
           ) -> tuple[jax.Array, jax.Array]:
  """Returns the rank of each choice among its group's choices of its expert.

  Also returns the number of choices of each expert in the group, `sizes_GE`.
  """
  hot_GME = choice_GM[..., None] == jnp.arange(num_experts)[None, None]
  upto_GME = jnp.cumsum(hot_GME, axis=1, dtype=jnp.int32)
  rank_GM = jnp.sum(jnp.where(hot_GME, upto_GME - 1, 0), axis=-1)
  return rank_GM, upto_GME[:, -1]


def _spread(x_BTD: jax.Array, place_M: jax.Array, size: int) -> jax.Array:
  """Writes the token of each choice to the choice's place; returns `x_SD`.

  There are S = `size` places. A choice whose place is `size` is not written;
  a place without a choice holds zeros.
  """
  token_M = jnp.arange(place_M.size) // (
      place_M.size // (x_BTD.shape[0] * x_BTD.shape[1]))
  x_MD = jnp.take(x_BTD.reshape(-1, x_BTD.shape[-1]), token_M, axis=0)
  return jnp.zeros((size, x_BTD.shape[-1]), x_BTD.dtype).at[place_M].set(
      x_MD, mode='drop')


def _numbers(number_BT: jax.Array | None, place_M: jax.Array, size: int
             ) -> list[jax.Array]:
  """Returns [the number of the choice in each of `size` places], or []."""
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
  """Sends tokens to experts that each take at most `room` tokens of a row.

  A choice is dropped if its expert has no room left: the token then gets no
  output from this expert. Rows do not compete with each other, so the result
  does not depend on the number of rows.

  Args:
    experts: The function of the experts, on [E, B * room, D].
    x_BTD: Hidden states of the tokens.
    routes: The experts of each token.
    num_experts: E.
    room: R; no choice is dropped if R >= T.
    number_BT: Numbers of the tokens, or None. If given, `experts` also gets the
      number of each choice: the token's number times A plus the choice's index.

  Returns:
    `y_BTD`, and the fraction of each row's choices that is dropped, `share_B`.
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
  """Sends every token to all of its experts, and returns `y_BTD`.

  Args:
    experts: The function of the experts. It takes `x_MD`, the tokens sorted by
      expert; `number_M`, if choices are numbered; and `sizes_E=`, the number of
      tokens of each expert. The tokens after these are padding.
    x_BTD: Hidden states of the tokens.
    routes: The experts of each token.
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
  """Returns a function of experts that are divided over a mapped axis.

  Each device holds E / devices of the experts, in order, and its own tokens.
  Two all-to-alls send tokens to the experts' devices and the outputs back. The
  backward pass does the same with the cotangents, so the gradient of a device's
  experts is already the gradient of the sum of all devices' losses and must not
  be summed again. Gradients of replicated parameters must still be summed.

  Args:
    experts: The function of this device's experts, on
      [E / devices, devices * R, D].
    axis_name: The axis of `jax.pmap` or `jax.shard_map`.

  References:
    Lepikhin et al., GShard, arXiv:2006.16668, section 3.2.
  """
  send = functools.partial(jax.lax.all_to_all, axis_name=axis_name, tiled=True)

  def everywhere(*filled):
    return send(experts(*(send(x, split_axis=0, concat_axis=1)
                          for x in filled)), split_axis=1, concat_axis=0)
  return everywhere
