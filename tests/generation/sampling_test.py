"""Rows of numbers against the transforms that they stand for."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.generation import sample
from lmjax.generation import sampling
from lmjax.generation import transforms

RNG = np.random.default_rng(0)
KINDS = [
    transforms.Sampling(), transforms.Sampling(0), transforms.Sampling(0.7),
    transforms.Sampling(1.3, top_k=1), transforms.Sampling(top_k=7),
    transforms.Sampling(2.0, top_k=10**12), transforms.Sampling(top_p=0.4),
    transforms.Sampling(typical_p=0.5), transforms.Sampling(min_p=0.2),
    transforms.Sampling(0, 3, 0.5, 0.5, 0.5, 1.7),
    transforms.Sampling(1.1, 20, 0.95, 0.9, 0.01, 1.3, 0.8, -0.6),
    transforms.Sampling(0, presence_penalty=2.0),
    transforms.Sampling(frequency_penalty=1.5),
    transforms.Sampling(top_p=1.0, typical_p=1.0, min_p=1.0)]
B, V = len(KINDS), 211
LOGITS_BV = (3 * RNG.standard_normal((B, V))).astype(np.float32)
COUNTS_BV = RNG.integers(0, 3, (B, V)).astype(np.int32)
KEYS_B = jax.random.split(jax.random.key(1), B)


@pytest.mark.slow
def test_rows_that_differ_draw_as_their_transforms_do():
  draw = jax.jit(sampling.draw)
  how = sampling.rows(KINDS, KEYS_B, B)

  @jax.jit
  def by_transforms(logits_BV, counts_BV, drawn_B):
    tokens = []
    for row, kind in enumerate(KINDS):
      one_BV = logits_BV[row][None]
      for transform in kind.build():
        one_BV = transform(one_BV, counts_BV[row][None])
      key = jax.random.fold_in(KEYS_B[row], drawn_B[row])
      tokens.append(jax.random.categorical(key, one_BV[0]))
    return jnp.stack(tokens)

  for number in range(5):
    drawn_B = number + np.arange(B, dtype=np.int32)
    token_B = draw(how, LOGITS_BV, COUNTS_BV, drawn_B).tolist()
    want_B = by_transforms(LOGITS_BV, COUNTS_BV, drawn_B).tolist()
    assert dict(enumerate(token_B)) == dict(enumerate(want_B)), KINDS
  assert draw._cache_size() == 1


@pytest.mark.slow
def test_draws_are_tokens_that_the_transforms_keep():
  """Each draw above sees one token; here is all that could be drawn."""
  keys_B = jax.random.split(jax.random.key(2), 2000)
  draw = jax.jit(lambda how: sampling.draw(
      how, jnp.tile(LOGITS_BV[:1], (2000, 1)),
      jnp.tile(COUNTS_BV[:1], (2000, 1)), jnp.zeros(2000, int)))
  for kind in KINDS[3:9]:
    found = set(draw(sampling.rows(kind, keys_B, 2000)).tolist())
    left_BV = LOGITS_BV[:1]
    for transform in kind.build():
      left_BV = jax.jit(transform)(left_BV, COUNTS_BV[:1])
    assert found <= set(np.flatnonzero(np.isfinite(left_BV[0])).tolist())


def test_greedy_rows_alone_draw_no_random_numbers():
  jaxpr = jax.make_jaxpr(sampling.draw)(
      sampling.rows(KINDS[1], KEYS_B, B), LOGITS_BV, COUNTS_BV,
      jnp.zeros(B, int))
  outside = [equation.primitive.name for equation in jaxpr.eqns]
  assert outside.count('cond') == 4  # Two penalties, at random, the best.
  assert not any('random' in name or 'sort' in name for name in outside)
  assert 'random_bits' in str(jaxpr) and 'sort[' not in str(jaxpr)


@pytest.mark.slow
def test_all_values_share_one_compilation(model):
  def draw(how):
    return [tokens.tolist() for tokens in sample.generate(
        *model, [[1, 2, 3], [4]], max_new_tokens=6, rng=3,
        sampling=how).tokens]
  alone = [draw(kind) for kind in (KINDS[1], KINDS[10])]
  compiled = sample._generate._cache_size()
  mixed = draw([KINDS[1], KINDS[10]])
  assert mixed == [alone[0][0], alone[1][1]]
  for kind in KINDS:
    draw(kind)
  assert sample._generate._cache_size() == compiled


@pytest.mark.slow
def test_a_users_transforms_come_before_the_rows_own(model):
  def only_odd(logits_BV, counts_BV):
    del counts_BV
    return jnp.where(
        (jnp.arange(logits_BV.shape[1]) % 2 == 1)[None], logits_BV, -jnp.inf)
  for kind in (KINDS[1], KINDS[4]):
    tokens = sample.generate(
        *model, [[1, 2, 3]], max_new_tokens=12, sampling=kind,
        transforms=(only_odd,)).tokens[0]
    assert (tokens % 2 == 1).all()


def test_padding_rows_repeat_the_last_sampling():
  how = sampling.rows([KINDS[2], KINDS[1]], KEYS_B[:4], 2)
  assert how.temperature_B.tolist() == [np.float32(0.7), 0, 0, 0]


def test_another_number_of_samplings_is_refused():
  with pytest.raises(errors.InputError, match='one for each of 3; got 2'):
    sampling.rows(KINDS[:2], KEYS_B[:4], 3)


@pytest.mark.parametrize('value', [1e-45, 1e-39, 1e-30])
def test_a_temperature_near_zero_draws_greedy_tokens(value):
  logits_BV = np.concatenate([LOGITS_BV, 1e30 * LOGITS_BV])
  keys_B = jax.random.split(jax.random.key(3), 2 * B)
  drawn = [jax.jit(sampling.draw)(
      sampling.rows(transforms.Sampling(kind, top_p=0.9), keys_B, 2 * B),
      logits_BV, np.tile(COUNTS_BV, (2, 1)), np.zeros(2 * B, np.int32))
           for kind in (value, 0)]
  np.testing.assert_array_equal(*drawn)


def test_large_equal_logits_are_drawn_equally_often():
  keys_B = jax.random.split(jax.random.key(4), 200)
  logits_BV = np.tile(np.float32([1e30, 1e30, -1e30]), (200, 1))
  token_B = jax.jit(sampling.draw)(
      sampling.rows(transforms.Sampling(), keys_B, 200), logits_BV,
      np.zeros((200, 3), np.int32), np.zeros(200, np.int32))
  assert 60 < np.sum(token_B == 0) < 140 and not np.any(token_B == 2)
