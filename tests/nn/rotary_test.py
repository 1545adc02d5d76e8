"""Rotations, and each scaling of them against its published formula."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.nn import rotary
from tests.reference import positions as reference

THETA, SIZE = 10_000.0, 64


def test_each_pair_turns_as_a_complex_number():
  x = np.random.default_rng(0).normal(size=(1, 3, 2, 10)).astype(np.float32)
  positions = np.array([[0, 7, 300]])
  frequencies = rotary.frequencies(THETA, 8)
  got = rotary.rotate(x, positions, frequencies)
  for t in range(3):
    for head in range(2):
      want = reference.rotate(x[0, t, head], positions[0, t], frequencies)
      np.testing.assert_allclose(got[0, t, head], want, atol=2e-4)
  np.testing.assert_array_equal(got[..., 8:], x[..., 8:])


def test_interleaved_pairs_are_neighbours():
  x = np.random.default_rng(0).normal(size=(1, 3, 2, 10)).astype(np.float32)
  positions = np.array([[0, 7, 300]])
  frequencies = rotary.frequencies(THETA, 8)
  got = rotary.rotate(x, positions, frequencies, 1.5, interleaved=True)
  for t in range(3):
    for head in range(2):
      for i, frequency in enumerate(frequencies):
        pair = slice(2 * i, 2 * i + 2)
        want = reference.rotate_pair(
            *x[0, t, head, pair], positions[0, t] * frequency)
        np.testing.assert_allclose(
            got[0, t, head, pair], 1.5 * np.array(want), atol=3e-4)
  np.testing.assert_array_equal(got[..., 8:], x[..., 8:])


def test_products_depend_on_differences_only():
  q, k = jax.random.normal(jax.random.key(0), (2, 1, 5, 1, 16))
  frequencies = rotary.frequencies(THETA, 16)
  def products(shift):
    positions = jnp.arange(5)[None] + shift
    turned = (rotary.rotate(x, positions, frequencies)[0, :, 0] for x in (q, k))
    return jnp.matmul(*(t if i == 0 else t.T for i, t in enumerate(turned)))
  np.testing.assert_allclose(products(0), products(1000), atol=5e-3)
  turned_q = rotary.rotate(q, jnp.arange(5)[None], frequencies)
  only_q = turned_q[0, :, 0] @ k[0, :, 0].T
  assert np.abs(only_q - products(0)).max() > 0.1


def test_lengths_are_kept_and_the_magnitude_multiplies():
  x = jax.random.normal(jax.random.key(0), (1, 4, 1, 16))
  frequencies = rotary.frequencies(THETA, 16)
  positions = jnp.arange(4)[None]
  norm = np.linalg.norm(x, axis=-1)
  for magnitude in (1.0, 1.25):
    got = rotary.rotate(x, positions, frequencies, magnitude)
    np.testing.assert_allclose(
        np.linalg.norm(got, axis=-1), magnitude * norm, rtol=1e-5)


def test_bfloat16_tells_position_256_from_257():
  x = jnp.ones((1, 2, 1, 8), jnp.bfloat16)
  got = rotary.rotate(
      x, jnp.array([[256, 257]]), rotary.frequencies(THETA, 8))
  assert got.dtype == jnp.bfloat16
  assert np.abs(np.asarray(got[0, 0] - got[0, 1], np.float32)).max() > 0.5


def test_an_odd_size_is_refused():
  with pytest.raises(errors.InputError, match='should be even, got 7'):
    rotary.frequencies(THETA, 7)


def test_linear_scaling_divides_positions():
  np.testing.assert_allclose(
      rotary.LinearScaling(4.0).frequencies(THETA, SIZE) * 4,
      rotary.frequencies(THETA, SIZE))


def test_ntk_keeps_the_fastest_and_divides_the_slowest():
  plain = rotary.frequencies(THETA, SIZE)
  got = rotary.NTKScaling(8.0).frequencies(THETA, SIZE)
  np.testing.assert_allclose(got[0], plain[0])
  np.testing.assert_allclose(got[-1], plain[-1] / 8)
  assert np.all(np.diff(plain / got) > 0)


@pytest.mark.parametrize('scaling', [
    rotary.Llama3Scaling(), rotary.Llama3Scaling(32.0, 1.0, 4.0, 8192),
    rotary.Llama3Scaling(4.0, 2.0, 3.0, 500)])
def test_llama3_scaling_is_that_of_the_released_code(scaling):
  theta = 500_000.0
  want = [reference.llama3_frequency(
      theta ** (-2 * i / 128), scaling.factor, scaling.low_factor,
      scaling.high_factor, scaling.original_context) for i in range(64)]
  got = scaling.frequencies(theta, 128)
  np.testing.assert_allclose(got, want, rtol=1e-12)
  plain = rotary.frequencies(theta, 128)
  kinds = {'kept': got == plain, 'divided': got == plain / scaling.factor}
  assert all(kind.any() for kind in kinds.values())  # All cases are met.


@pytest.mark.parametrize('scaling', [
    rotary.YarnScaling(), rotary.YarnScaling(16.0, 4096),
    rotary.YarnScaling(2.0, 100, 4.0, 2.0)])
def test_yarn_interpolates_by_parts(scaling):
  want = [reference.yarn_frequency(
      i, THETA, 128, scaling.factor, scaling.original_context,
      scaling.fast_turns, scaling.slow_turns) for i in range(64)]
  np.testing.assert_allclose(
      scaling.frequencies(THETA, 128), want, rtol=1e-12)


def test_yarn_sharpens_attention_as_the_paper_fits_it():
  # Equation 22: sqrt(1 / t) = 0.1 ln(s) + 1.
  assert rotary.YarnScaling(factor=16.0).magnitude() == pytest.approx(1.27726)
  assert rotary.YarnScaling(factor=1.0).magnitude() == 1.0


def test_long_rope_divides_each_frequency_by_the_factor_of_the_length():
  scaling = rotary.LongRopeScaling((1.0, 2.0), (3.0, 8.0), 4.0, 16)
  plain = rotary.frequencies(THETA, 4)
  got = scaling.of_texts(THETA, 4, jnp.array([[0, 15], [3, 16]]))
  np.testing.assert_allclose(
      got, [plain / [1.0, 2.0], plain / [3.0, 8.0]], rtol=1e-6)
  np.testing.assert_allclose(
      scaling.frequencies(THETA, 4), plain / [1.0, 2.0], rtol=1e-6)
  # The equation of the released code: sqrt(1 + ln 4 / ln 16).
  np.testing.assert_allclose(scaling.magnitude(), 1.5 ** 0.5)
  assert rotary.LongRopeScaling(factor=1.0).magnitude() == 1.0


def test_long_rope_needs_a_factor_for_each_pair():
  with pytest.raises(errors.InputError, match='the 4 pairs.*got 2'):
    rotary.LongRopeScaling((1.0, 2.0)).frequencies(THETA, 8)


def test_texts_may_have_their_own_frequencies():
  x = jax.random.normal(jax.random.key(0), (2, 3, 2, 8))
  where = jnp.arange(3)[None] + jnp.array([[0], [9]])
  each = [rotary.frequencies(theta, 8) for theta in (100.0, 1000.0)]
  got = rotary.rotate(x, where, np.stack(each))
  for i, frequencies in enumerate(each):
    np.testing.assert_array_equal(
        got[i], rotary.rotate(x[i:i + 1], where[i:i + 1], frequencies)[0])
