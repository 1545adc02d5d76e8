"""Tokens reach their experts in order, and losses equal the papers'."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.nn.mixture import routing

B, T, E, A, D = 3, 7, 4, 2, 5
RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(B, T, E)).astype(np.float32)
X = RNG.normal(size=(B, T, D)).astype(np.float32)
SCALES = np.asarray([1.0, -2.0, 3.0, 0.5], np.float32)  # Expert e multiplies.
REAL = np.ones((B, T), bool)
REAL[0, 5:], REAL[1, :2] = False, False


def routes(normalize=True):
  return routing.route(LOGITS, REAL, A, normalize)


@functools.partial(jax.jit, static_argnames=('room', 'normalize'))
def with_room(room, normalize=True):
  return routing.with_room(in_places, X, routes(normalize), E, room)


def by_hand(room=T, normalize=True):
  """Returns the output and the dropped share, token after token."""
  probs = np.exp(LOGITS.astype(np.float64))
  probs /= probs.sum(-1, keepdims=True)
  out, lost, chosen = np.zeros((B, T, D)), np.zeros(B), np.zeros(B)
  for b in range(B):
    used = np.zeros(E, int)
    for t in range(T):
      if not REAL[b, t]:
        continue
      best = np.argsort(-probs[b, t])[:A]
      gates = probs[b, t, best]
      gates = gates / gates.sum() if normalize else gates
      for gate, expert in zip(gates, best):
        chosen[b] += 1
        if used[expert] < room:
          out[b, t] += gate * SCALES[expert] * X[b, t]
        else:
          lost[b] += 1
        used[expert] += 1
  return out, lost / chosen


def in_places(x_ERD):
  return x_ERD * SCALES[:, None, None]


@pytest.mark.parametrize('normalize', [True, False])
def test_every_choice_is_weighted_and_summed(normalize):
  def sorted_rows(x_MD, sizes_E):
    expert_M = jnp.repeat(
        jnp.arange(E), sizes_E, total_repeat_length=len(x_MD))
    return x_MD * jnp.asarray(SCALES)[expert_M][:, None]
  want, _ = by_hand(normalize=normalize)
  got = jax.jit(lambda: routing.dropless(
      sorted_rows, X, routes(normalize), E))()
  np.testing.assert_allclose(got, want, atol=1e-6)
  got, dropped = with_room(T, normalize)
  np.testing.assert_allclose(got, want, atol=1e-6)
  assert not np.any(dropped)


@pytest.mark.parametrize('room', [1, 2, 3])
def test_later_choices_are_dropped_first_and_counted(room):
  want, lost = by_hand(room)
  got, dropped = with_room(room)
  np.testing.assert_allclose(got, want, atol=1e-6)
  np.testing.assert_allclose(dropped, lost, rtol=1e-6)
  assert np.any(lost > 0)


def test_room_is_a_share_of_even_choices():
  assert routing.room(16, 2, 8, 1.25) == 5  # 1.25 * 16 * 2 / 8.
  assert routing.room(16, 2, 8, 1.3) == 6
  assert routing.room(16, 2, 8, None) == routing.room(16, 2, 2, 9.0) == 16


def test_balance_is_the_papers():
  probs = np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True)
  want = []
  for b in range(B):
    best = np.argsort(-probs[b], -1)[:, :A][REAL[b]]
    f = np.array([np.mean(np.any(best == e, -1)) for e in range(E)])
    want.append(E / A * np.sum(f * probs[b][REAL[b]].mean(0)))
  got = jax.jit(lambda: routing.balance_loss(LOGITS, routes(), REAL))()
  np.testing.assert_allclose(got, want, rtol=1e-5)


def test_balance_lies_between_one_and_the_number_of_experts():
  real = np.ones((1, E), bool)
  even = 50 * np.eye(E, dtype=np.float32)[None]
  one = 50 * np.eye(E, dtype=np.float32)[None, [2] * E]
  loss = jax.jit(lambda logits: routing.balance_loss(
      logits, routing.route(logits, real, 1, False), real))
  for logits, want in ((even, 1), (one, E)):
    got = loss(logits)
    np.testing.assert_allclose(got, [want], rtol=1e-6)


def test_router_z_is_the_papers():
  z = np.log(np.exp(LOGITS.astype(np.float64)).sum(-1)) ** 2
  want = [z[b][REAL[b]].mean() for b in range(B)]
  np.testing.assert_allclose(
      jax.jit(routing.router_z_loss)(LOGITS, REAL), want, rtol=1e-5)


def test_a_row_of_padding_gives_zeros_and_finite_gradients():
  none = np.zeros((B, T), bool)
  def total(logits):
    found = routing.route(logits, none, A)
    out, dropped = routing.with_room(in_places, X, found, E, 2)
    return (jnp.sum(out) + jnp.sum(dropped) + jnp.sum(
        routing.balance_loss(logits, found, none)
        + routing.router_z_loss(logits, none)))
  value, gradient = jax.jit(jax.value_and_grad(total))(LOGITS)
  assert value == 0 and not np.any(gradient)
