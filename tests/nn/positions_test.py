"""Each kind of positions against the formula of its paper."""
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.nn import rotary
from tests.reference import positions as reference

POLICY = layers.Policy()


class Embed(nn.Module):
  """Runs a hook inside a compact method, as a model does."""
  positions: positions.Positions

  @nn.compact
  def __call__(self, x_BTD, positions_BT):
    return self.positions.embed(x_BTD, positions_BT, 6, POLICY)


class Bias(nn.Module):
  """The same for the bias."""
  positions: positions.Positions

  @nn.compact
  def __call__(self, mask):
    return self.positions.bias(mask, 3)


def test_no_positions_change_nothing():
  none = positions.NoPositions()
  x = jnp.ones((1, 2, 4))
  assert none.embed(x, jnp.zeros((1, 2), jnp.int32), 8, POLICY) is x
  assert none.rotate(x, None) is x
  assert none.bias(masks.of_length(2), 2) is None


@pytest.mark.parametrize('interleaved', [False, True])
def test_a_fraction_of_a_head_turns(interleaved):
  x = jax.random.normal(jax.random.key(0), (1, 3, 1, 16))
  where = jnp.array([[0, 5, 70]])
  got = positions.Rotary(
      theta=50.0, fraction=0.25, interleaved=interleaved).rotate(x, where)
  want = rotary.rotate(x, where, 50.0 ** -np.array([0, 0.5]),
                       interleaved=interleaved)
  np.testing.assert_allclose(got, want, atol=1e-5)
  moved = np.abs(got - x).max((0, 1, 2)) > 0
  assert moved.tolist() == [True] * 4 + [False] * 12


def test_learned_positions_are_looked_up_by_position_not_by_index():
  module = Embed(positions.Learned())
  where = jnp.array([[0, 1, 2, 0, 1]])
  x = jnp.zeros((1, 5, 4))
  params = module.init(jax.random.key(0), x, where)
  table = params['params']['positions']['embedding']
  assert table.shape == (6, 4)
  np.testing.assert_array_equal(
      module.apply(params, x, where)[0], table[where[0]])


def test_a_position_beyond_the_context_is_nan_not_another():
  module = Embed(positions.Learned())
  where = jnp.array([[5, 6]])
  x = jnp.zeros((1, 2, 4))
  got = module.apply(module.init(jax.random.key(0), x, where), x, where)
  assert np.isfinite(got[0, 0]).all() and np.isnan(got[0, 1]).all()


def test_sinusoids_by_the_formula():
  size = 6
  got = positions.Sinusoidal().embed(
      jnp.ones((1, 4, size)), jnp.array([[0, 1, 5, 900]]), 8, POLICY)
  for t, place in enumerate([0, 1, 5, 900]):
    for i in range(size // 2):
      angle = place / 10_000 ** (2 * i / size)
      np.testing.assert_allclose(
          got[0, t, [i, i + size // 2]],
          [1 + math.sin(angle), 1 + math.cos(angle)], atol=1e-4)


def test_rotary_turns_its_share_with_its_scaling():
  x = jax.random.normal(jax.random.key(0), (1, 3, 2, 8))
  where = jnp.array([[0, 3, 5]])
  scaling = rotary.YarnScaling(4.0, 64)
  got = positions.Rotary(1000.0, 0.5, scaling).rotate(x, where)
  np.testing.assert_array_equal(got, rotary.rotate(
      x, where, scaling.frequencies(1000.0, 4), scaling.magnitude()))
  np.testing.assert_array_equal(got[..., 4:], x[..., 4:])
  plain = positions.Rotary(1000.0).rotate(x, where)
  np.testing.assert_array_equal(
      plain, rotary.rotate(x, where, rotary.frequencies(1000.0, 8)))


@pytest.mark.slow
def test_a_long_text_is_rotated_by_its_own_frequencies():
  x = jax.random.normal(jax.random.key(0), (2, 2, 2, 4))
  where = jnp.array([[0, 1], [7, 8]])
  scaling = rotary.LongRopeScaling((1.0, 1.5), (2.0, 3.0), 4.0, 8)
  got = positions.Rotary(100.0, scaling=scaling).rotate(x, where)
  for i, factors in enumerate([scaling.short, scaling.long]):
    np.testing.assert_allclose(got[i:i + 1], rotary.rotate(
        x[i:i + 1], where[i:i + 1],
        rotary.frequencies(100.0, 4) / np.array(factors),
        scaling.magnitude()), rtol=1e-6)


@pytest.mark.parametrize('heads', [1, 2, 3, 8, 12, 20])
def test_alibi_slopes_are_those_of_the_papers_code(heads):
  np.testing.assert_allclose(
      positions.alibi_slopes(heads), reference.alibi_slopes(heads), rtol=1e-12)


def test_alibi_slopes_of_8_heads_by_hand():
  np.testing.assert_allclose(
      positions.alibi_slopes(8),
      [1/2, 1/4, 1/8, 1/16, 1/32, 1/64, 1/128, 1/256])


def test_alibi_penalises_distance_in_the_document():
  mask = masks.make(np.array([[0, 1, 2, 0]]))
  bias = positions.Alibi().bias(mask, 8)
  assert bias.shape == (1, 8, 4, 4)
  np.testing.assert_allclose(bias[0, 0, 2], [-1, -0.5, 0, -1])
  np.testing.assert_allclose(bias[0, 7, 2], [-2/256, -1/256, 0, -2/256])


@pytest.mark.parametrize('bidirectional', [False, True])
@pytest.mark.parametrize('buckets, furthest', [(32, 128), (8, 16), (12, 100)])
def test_t5_buckets_are_those_of_the_definition(
    buckets, furthest, bidirectional):
  relative = positions.Relative(buckets, furthest, bidirectional)
  distances = np.arange(-300, 300)
  want = [reference.t5_bucket(int(d), buckets, furthest, bidirectional)
          for d in distances]
  np.testing.assert_array_equal(
      relative.bucket(jnp.asarray(distances)[None, None])[0, 0], want)


def test_t5_bias_is_one_number_a_head_and_bucket():
  module = Bias(positions.Relative(8, 16))
  mask = masks.make(np.array([[0, 1, 2, 0, 1]]))
  params = module.init(jax.random.key(0), mask)
  table = params['params']['positions']['embedding']
  assert table.shape == (8, 3)
  bias = module.apply(params, mask)
  assert bias.shape == (1, 3, 5, 5)
  np.testing.assert_array_equal(bias[0, :, 2, 0], table[2])
  np.testing.assert_array_equal(bias[0, :, 4, 3], table[1])


def test_learned_positions_can_come_with_a_bias_for_distances():
  both = positions.LearnedRelative(
      offset=2, relative=positions.Relative(8, 16, bidirectional=True))
  x, where = jnp.zeros((1, 5, 4)), jnp.arange(5)[None]
  embedded = Embed(both).init(jax.random.key(0), x, where)['params']
  assert embedded['positions']['embedding'].shape == (8, 4)
  mask = masks.of_length(5, causal=False)
  params = Bias(both).init(jax.random.key(0), mask)
  table = params['params']['distances']['embedding']
  bias = Bias(both).apply(params, mask)
  np.testing.assert_array_equal(bias[0, :, 3, 2], table[1])
  np.testing.assert_array_equal(bias[0, :, 2, 3], table[5])


@pytest.mark.parametrize('buckets, furthest, message', [
    (3, 128, 'num_buckets should be at least 4; got 3'),
    (32, 16, 'got 32 and 16')])
def test_impossible_buckets_are_refused(buckets, furthest, message):
  with pytest.raises(errors.InputError, match=message):
    positions.Relative(buckets, furthest)


def test_rounded_alibi_is_alibi_with_the_precision_of_bfloat16():
  mask = masks.of_length(600)
  exact = positions.Alibi().bias(mask, 6)
  rounded = positions.RoundedAlibi(0.5).bias(mask, 6)
  assert rounded.shape == exact.shape
  # Only differences between keys matter to softmax.
  found = 2 * (rounded - rounded[..., :1])
  want = exact - exact[..., :1]
  seen = np.tril(np.ones((600, 600), bool))
  assert np.abs(found - want)[:, :, seen].max() < 2**-8 * 600
  first = np.abs(found - want)[0, 0, seen]
  assert first.max() > 0.1  # 257 is not a number of bfloat16.
