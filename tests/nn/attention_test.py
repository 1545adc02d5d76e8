"""The attention layer against loops by hand, its options and its cache."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.nn import attend
from lmjax.nn import attention
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.testing import hot
from tests.reference import attention as reference

POLICY = layers.Policy()
X = np.random.default_rng(1).normal(size=(2, 5, 16)).astype(np.float32)
MASK = masks.of_length(5)


def build(config, where=positions.NoPositions(), policy=POLICY):
  module = config.build(policy, where, attend.plain)
  shapes = jax.eval_shape(module.init, jax.random.key(0), X, MASK)['params']
  return module, {'params': jax.device_get(hot.hot_params(shapes))}


@pytest.mark.parametrize('kv_heads', [1, 2, None])
def test_the_layer_by_hand(kv_heads):
  config = attention.AttentionConfig(
      4, kv_heads, window=3, softcap=2.0, scale=0.4, qk_norm=layers.RMSNorm())
  rope = positions.Rotary(theta=100.0)
  module, variables = build(config, rope)
  params = variables['params']
  def heads(name):
    h = X @ params[name]['kernel'] + params[name]['bias']
    return h.reshape(2, 5, -1, 4)
  def norm(name, h):
    h = h / np.sqrt((h ** 2).mean(-1, keepdims=True) + 1e-6)
    return h * params[name]['scale']
  where = jnp.arange(5)[None]
  rotate = jax.jit(rope.rotate)
  q = rotate(norm('query_norm', heads('query')), where)
  k = rotate(norm('key_norm', heads('key')), where)
  out = reference.attend(
      q, k, heads('value'), lambda b, t, s: 0 <= t - s < 3, scale=0.4,
      softcap=2.0).reshape(2, 5, 16)
  want = out @ params['out']['kernel'] + params['out']['bias']
  got, cache = jax.jit(module.apply)(variables, X, MASK)
  np.testing.assert_allclose(got, want, atol=2e-5)
  assert cache is None


def test_parameters_are_those_asked_for():
  def names(**settings):
    _, variables = build(attention.AttentionConfig(4, **settings))
    return jax.tree.map(lambda p: p.shape, variables['params'])
  assert names(num_kv_heads=2, head_size=6, bias=False) == {
      'query': {'kernel': (16, 24)}, 'key': {'kernel': (16, 12)},
      'value': {'kernel': (16, 12)},
      'out': {'kernel': (24, 16), 'bias': (16,)}}
  assert names(out_bias=False, qk_norm=layers.RMSNorm())['query_norm'] == {
      'scale': (4,)}


def test_a_cache_holds_what_was_written_where():
  config = attention.AttentionConfig(4, 2)
  module, variables = build(config)
  apply = jax.jit(module.apply)
  want, _ = apply(variables, X, MASK)
  cache = config.empty_cache(2, 7, 16, jnp.float32)
  assert cache.k_BKSH.shape == (2, 2, 7, 4)
  for start, stop in ((0, 3), (3, 4), (4, 5)):
    mask = masks.Mask(np.arange(start, stop)[None], np.arange(7)[None])
    got, cache = apply(
        variables, X[:, start:stop], mask, None, cache, jnp.full(2, start))
    np.testing.assert_allclose(got, want[:, start:stop], atol=1e-5)
  assert np.all(cache.k_BKSH[:, :, 5:] == 0)
  assert np.all(cache.v_BKSH[:, :, :5] != 0)


def test_dropout_is_on_in_training_only():
  module, variables = build(attention.AttentionConfig(4, dropout=0.5))
  plain, _ = jax.jit(module.apply)(variables, X, MASK)
  @jax.jit
  def train(seed):
    return module.apply(variables, X, MASK, train=True,
                        rngs={'dropout': jax.random.key(seed)})[0]
  assert not np.allclose(train(0), plain)
  assert not np.allclose(train(0), train(1))
  np.testing.assert_array_equal(train(0), train(0))


def test_another_attend_is_handed_all_it_needs():
  seen = {}
  def mine(q_BTNH, k_BSKH, v_BSKH, mask, **options):
    seen.update(options, mask=mask)
    return q_BTNH
  config = attention.AttentionConfig(4, window=2, softcap=3.0, dropout=0.1)
  module = config.build(POLICY, positions.NoPositions(), mine)
  jax.eval_shape(
      module.init, jax.random.key(0), X, MASK, jnp.ones((1, 4, 5, 5)))
  assert seen['mask'].window == 2
  assert (seen['softcap'], seen['dropout'], seen['scale']) == (3.0, 0.1, None)
  assert seen['dropout_rng'] is None
  assert seen['bias_BNTS'].shape == (1, 4, 5, 5)


def test_impossible_heads_are_refused():
  with pytest.raises(errors.InputError, match='got 3 and 4'):
    attention.AttentionConfig(4, 3)
  for heads in (0, None), (4, 0):
    with pytest.raises(errors.InputError, match='should be at least 1'):
      attention.AttentionConfig(*heads)
  with pytest.raises(errors.InputError, match='model.width = 18 .* 4 heads'):
    attention.AttentionConfig(4).size(18)
  with pytest.raises(errors.InputError, match='window should be at least 1'):
    attention.AttentionConfig(4, window=0)
