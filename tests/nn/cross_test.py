"""Cross-attention by hand, its mask, and its cache of the memory."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.nn import attend
from lmjax.nn import attention
from lmjax.nn import cross
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.testing import hot
from tests.reference import attention as reference

RNG = np.random.default_rng(1)
X = RNG.normal(size=(2, 3, 16)).astype(np.float32)
MEMORY = RNG.normal(size=(2, 5, 16)).astype(np.float32)
WRITTEN = np.array([[1, 1, 2], [1, 2, 2]])
READ = np.array([[1, 2, 2, 2, 0], [1, 1, 1, 2, 2]])
OWN = masks.make(jnp.zeros((2, 3), jnp.int32), jnp.asarray(WRITTEN))


def build(config):
  module = cross.CrossAttention(config, layers.Policy(), attend.plain)
  memory = cross.Memory(cross.visible(OWN, jnp.asarray(READ)), MEMORY)
  shapes = jax.eval_shape(module.init, jax.random.key(0), X, memory)['params']
  return module, {'params': jax.device_get(hot.hot_params(shapes))}, memory


@pytest.mark.parametrize('kv_heads, norm', [
    (1, None), (None, layers.RMSNorm())])
def test_the_layer_by_hand_and_again_from_the_cache(kv_heads, norm):
  config = attention.AttentionConfig(
      4, kv_heads, softcap=2.0, scale=0.4, window=1, qk_norm=norm)
  module, variables, memory = build(config)
  params = variables['params']
  def heads(name, x):
    h = x @ params[name]['kernel'] + params[name]['bias']
    h = h.reshape(2, x.shape[1], -1, 4)
    if norm is not None and name != 'value':
      h = h / np.sqrt((h ** 2).mean(-1, keepdims=True) + 1e-6)
      h = h * params[f'{name}_norm']['scale']
    return h
  out = reference.attend(
      heads('query', X), heads('key', MEMORY), heads('value', MEMORY),
      lambda b, t, s: WRITTEN[b, t] == READ[b, s], scale=0.4,
      softcap=2.0).reshape(2, 3, 16)
  want = out @ params['out']['kernel'] + params['out']['bias']
  got, cache = jax.jit(module.apply)(variables, X, memory)
  np.testing.assert_allclose(got, want, atol=2e-5)
  assert cache.k_BKSH.shape == (2, config.kv_heads, 5, 4)
  again, kept = jax.jit(module.apply)(
      variables, X, memory.replace(x_BSD=None), cache)
  np.testing.assert_allclose(again, got, atol=1e-6)
  jax.tree.map(np.testing.assert_array_equal, kept, cache)


def test_no_query_sees_padding_and_one_text_needs_no_segments():
  seen = cross.visible(OWN, jnp.asarray(READ)).dense()
  want = (WRITTEN[:, :, None] == READ[:, None]) & (READ[:, None] > 0)
  np.testing.assert_array_equal(seen, want)
  one = cross.visible(masks.of_length(3), jnp.asarray([[1, 1, 0]])).dense()
  np.testing.assert_array_equal(one[0], [[True, True, False]] * 3)


def test_dropout_is_on_in_training_only():
  module, variables, memory = build(attention.AttentionConfig(4, dropout=0.5))
  apply = jax.jit(lambda train: module.apply(
      variables, X, memory, train=train, rngs={'dropout': jax.random.key(0)}),
                  static_argnums=0)
  (one, _), (noisy, _) = apply(False), apply(True)
  assert np.abs(noisy - one).max() > 0.01
