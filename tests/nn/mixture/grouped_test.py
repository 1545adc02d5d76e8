"""A grouped product equals a loop over the groups, forward and backward."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.nn.mixture import grouped

SIZES = {
    'uneven': (5, 0, 17, 1, 41),  # An empty group among them.
    'one takes all': (0, 0, 64, 0, 0),
    'blocks of one row': (1, 0, 0, 2, 1),
    'rows past all groups': (3, 2, 4, 0, 11),
}
ROWS = {'uneven': 64, 'one takes all': 64, 'blocks of one row': 4,
        'rows past all groups': 80}


def case(name, dtype=np.float32):
  rng = np.random.default_rng(0)
  x = rng.normal(size=(ROWS[name], 6)).astype(dtype)
  kernel = rng.normal(size=(5, 6, 7)).astype(dtype)
  return x, kernel, np.asarray(SIZES[name], np.int32)


def loop(x, kernel, sizes):
  out, start = jnp.zeros((x.shape[0], kernel.shape[2])), 0
  for each, size in zip(kernel, sizes):
    out = out.at[start:start + size].set(x[start:start + size] @ each)
    start += size
  return out


def with_gradient(product, weights, sizes):
  def total(x, kernel):
    y = product(x, kernel, sizes)
    return jnp.sum(y * weights), y
  return jax.jit(jax.grad(total, (0, 1), has_aux=True))


@pytest.mark.parametrize('name', SIZES)
def test_a_product_by_groups_is_a_loop_over_them(name):
  x, kernel, sizes = case(name)
  weights = np.random.default_rng(1).normal(size=(len(x), 7)).astype(
      np.float32)
  want = with_gradient(lambda *args: loop(*args[:2], sizes), weights, sizes)(
      x, kernel)
  for product in (grouped.product, jax.lax.ragged_dot):
    got = with_gradient(product, weights, sizes)(x, kernel)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(
        a, b, rtol=1e-5, atol=1e-5), got, want)


def test_the_gradient_on_a_tpu_is_that_of_blocks():
  x, kernel, sizes = case('rows past all groups')
  g = np.random.default_rng(1).normal(size=(len(x), 7)).astype(np.float32)
  one, other = (jax.jit(gradient)(x, g, kernel, sizes) for gradient in (
      grouped._ragged_gradient, grouped._gradient_in_blocks))
  np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_a_kernels_gradient_is_summed_in_float32():
  x = np.ones((4096, 1), jnp.bfloat16)
  kernel = np.ones((256, 1, 1), jnp.bfloat16)  # Of many groups: small blocks.
  sizes = np.eye(256, dtype=np.int32)[0] * 4096
  gradient = jax.jit(jax.grad(lambda kernel: jnp.sum(
      grouped.product(x, kernel, sizes).astype(jnp.float32))))(kernel)
  assert gradient.dtype == jnp.bfloat16
  assert float(gradient[0, 0, 0]) == 4096  # In bfloat16 it would stall.


def test_a_tpu_is_handed_what_it_has_an_instruction_for():
  x, kernel, sizes = case('uneven')
  for platform, expected in (('tpu', True), ('cpu', False)):
    text = jax.jit(grouped.product).trace(x, kernel, sizes).lower(
        lowering_platforms=(platform,)).as_text()
    assert ('ragged_dot' in text) == expected
