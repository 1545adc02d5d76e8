"""Dense layers, norms and MLPs against float64, and dtypes where they count."""
import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.nn import layers
from lmjax.testing import hot

POLICY = layers.Policy()
HALF = layers.Policy(dtype='bfloat16')


def draw(*shape):
  return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def run(module, params, *args, **kwargs):
  """Returns what a module gives, as one program."""
  return jax.jit(functools.partial(module.apply, **kwargs))(
      {'params': params}, *args)


def init(module, *args):
  shapes = jax.eval_shape(module.init, jax.random.key(0), *args)
  return jax.device_get(hot.hot_params(shapes.get('params', {})))


def test_dense_is_the_product_over_the_last_axis():
  x = draw(2, 3, 8)
  module = layers.Dense(5, POLICY)
  params = init(module, x)
  want = np.einsum('BTD,DF->BTF', *(
      np.asarray(a, np.float64) for a in (x, params['kernel'])))
  np.testing.assert_allclose(
      run(module, params, x), want + params['bias'], atol=1e-5)


def test_dense_multiplies_matrices_forwards_and_backwards():
  x = np.ones((2, 3, 8), np.float32)
  module = layers.Dense(5, POLICY, use_bias=False)
  params = init(module, x)
  program = jax.make_jaxpr(jax.grad(
      lambda p, x: module.apply({'params': p}, x).sum(), (0, 1)))(params, x)
  products = [e for e in program.eqns if e.primitive.name == 'dot_general']
  assert products
  for product in products:
    assert all(v.aval.ndim == 2 for v in product.invars)


def test_initial_scales_are_those_asked_for():
  x = np.ones((1, 200), np.float32)
  for std, module in (
      (0.02, layers.Dense(300, POLICY)),
      (0.5, layers.Dense(300, POLICY, init_std=0.5)),
      (0.1, layers.Dense(300, layers.Policy(init_std=0.1))),
      (0.02, layers.Head(300, POLICY))):
    kernel = jax.jit(module.init)(jax.random.key(0), x)['params']['kernel']
    np.testing.assert_allclose(np.std(np.asarray(kernel)), std, rtol=0.02)


def test_half_precision_keeps_float32_parameters_and_logits():
  x = draw(2, 3, 8).astype(jnp.bfloat16)
  dense, head = layers.Dense(5, HALF), layers.Head(11, HALF, use_bias=True)
  for module, dtype in ((dense, jnp.bfloat16), (head, jnp.float32)):
    params = init(module, x)
    assert {p.dtype for p in jax.tree.leaves(params)} == {jnp.dtype('float32')}
    assert run(module, params, x).dtype == dtype
  embedding = layers.Embedding(11, 8, HALF)
  ids = np.zeros((1, 2), np.int32)
  params = init(embedding, ids)
  assert run(embedding, params, ids).dtype == jnp.bfloat16
  logits = run(embedding, params, x, method='logits')
  assert logits.dtype == jnp.float32
  table = params['embedding'].astype(jnp.bfloat16)
  want = np.asarray(x, np.float64) @ np.asarray(table, np.float64).T
  np.testing.assert_allclose(logits, want, rtol=1e-5, atol=1e-5)  # Not rounded.


def test_a_head_also_takes_rows():
  x = draw(4, 8)
  module = layers.Head(3, POLICY)
  params = init(module, x)
  np.testing.assert_allclose(
      run(module, params, x), np.asarray(x) @ params['kernel'],
      atol=1e-6)


def test_tied_logits_are_products_with_the_rows_of_the_table():
  module = layers.Embedding(11, 8, POLICY)
  params = init(module, np.zeros((1, 2), np.int32))
  x = draw(2, 3, 8)
  np.testing.assert_allclose(
      run(module, params, x, method='logits'),
      np.einsum('BTD,VD->BTV', x, params['embedding']), atol=1e-5)


@pytest.mark.parametrize('wrong', [11, 1000, -1, -11])
def test_an_id_outside_the_table_is_nan_never_another_vector(wrong):
  module = layers.Embedding(11, 8, POLICY)
  params = init(module, np.zeros((1, 1), np.int32))
  got = np.asarray(run(module, params, np.array([[10, wrong]])))
  assert np.isfinite(got[0, 0]).all() and np.isnan(got[0, 1]).all()


def float64_norm(x, config, params):
  x = np.asarray(x, np.float64)
  if isinstance(config, layers.LayerNorm):
    x = x - x.mean(-1, keepdims=True)
  x = x / np.sqrt((x ** 2).mean(-1, keepdims=True) + config.epsilon)
  return x * params.get('scale', 1) + params.get('bias', 0)


@pytest.mark.parametrize('config', [
    layers.LayerNorm(), layers.LayerNorm(epsilon=0.1, bias=False),
    layers.LayerNorm(bias=False, scale=False),
    layers.RMSNorm(), layers.RMSNorm(epsilon=0.1)], ids=str)
@pytest.mark.parametrize('shape', [(3, 16), (2, 3, 16), (2, 3, 4, 16)])
def test_norms_are_the_formula(config, shape):
  x = draw(*shape)
  module = config.build()
  params = init(module, x)
  assert ('bias' in params) == getattr(config, 'bias', False)
  np.testing.assert_allclose(
      run(module, params, x), float64_norm(x, config, params),
      atol=1e-5)


def test_a_scale_around_one_starts_there_and_is_added_to_it():
  x = draw(2, 3, 16)
  module = layers.RMSNorm(around_one=True).build()
  fresh = jax.jit(module.init)(jax.random.key(0), x)['params']
  assert not np.any(fresh['scale'])
  params = {'scale': np.linspace(-0.5, 2, 16, dtype=np.float32)}
  np.testing.assert_allclose(
      run(module, params, x), float64_norm(
          x, layers.RMSNorm(), {'scale': 1 + params['scale']}), atol=1e-5)


def test_all_heads_can_be_normed_at_once():
  x = draw(2, 3, 4, 6)
  module = layers.RMSNorm(axes=2).build()
  params = init(module, x)
  assert params['scale'].shape == (4, 6)
  flat = float64_norm(x.reshape(2, 3, 24), layers.RMSNorm(),
                      {'scale': params['scale'].reshape(24)})
  np.testing.assert_allclose(
      run(module, params, x), flat.reshape(x.shape), atol=1e-5)
  with pytest.raises(errors.InputError, match='axes .* at most 2; got 3'):
    layers.RMSNorm(axes=3)


def test_layer_norm_survives_a_large_mean():
  noise = draw(4, 64)
  x = 300 + 1e-2 * noise  # E[x^2] - E[x]^2 would lose the variance.
  module = layers.LayerNorm().build()
  params = init(module, x)
  want = float64_norm(x, layers.LayerNorm(), params)
  np.testing.assert_allclose(
      run(module, params, x), want, atol=2e-2)


@pytest.mark.parametrize('config', [layers.LayerNorm(), layers.RMSNorm()])
def test_norms_compute_in_float32_under_half_precision(config):
  x = (300 + draw(4, 64)).astype(jnp.bfloat16)
  module = config.build()
  params = init(module, x)
  got = run(module, params, x)
  assert got.dtype == jnp.bfloat16
  np.testing.assert_allclose(
      np.asarray(got, np.float64), float64_norm(x, config, params), rtol=8e-3,
      atol=1e-2)


def test_activations_by_their_formulas():
  x = np.linspace(-4, 4, 41, dtype=np.float32)
  def gelu(v):
    return v * 0.5 * (1 + math.erf(v / math.sqrt(2)))
  def gelu_tanh(v):
    return 0.5 * v * (1 + math.tanh(
        math.sqrt(2 / math.pi) * (v + 0.044715 * v ** 3)))
  want = {
      'gelu': gelu, 'gelu_tanh': gelu_tanh, 'relu': lambda v: max(v, 0),
      'silu': lambda v: v / (1 + math.exp(-v)),
      'squared_relu': lambda v: max(v, 0) ** 2}
  assert want.keys() == layers.ACTIVATIONS.keys()
  for name, function in want.items():
    np.testing.assert_allclose(
        jax.jit(layers.ACTIVATIONS[name])(x), [function(float(v)) for v in x],
        atol=2e-6, err_msg=name)
  apart = layers.ACTIVATIONS['gelu'](x) - layers.ACTIVATIONS['gelu_tanh'](x)
  assert np.abs(apart).max() > 1e-4


@pytest.mark.parametrize('gated', [False, True])
def test_an_mlp_by_hand(gated):
  x = draw(2, 3, 8)
  config = layers.MLPConfig(16, 'silu', gated=gated)
  module = config.build(POLICY)
  params = init(module, x)
  def dense(name, h):
    return np.asarray(h) @ params[name]['kernel'] + params[name]['bias']
  hidden = dense('in', x)
  hidden = hidden / (1 + np.exp(-hidden))
  if gated:  # SwiGLU: silu(x W) * (x V), then W2.
    hidden *= dense('gate', x)
  np.testing.assert_allclose(
      run(module, params, x), dense('out', hidden), atol=1e-5)
  bare = layers.MLPConfig(16, gated=gated, bias=False).build(POLICY)
  assert not any('bias' in p for p in init(bare, x).values())


@pytest.mark.parametrize('gated', [False, True])
def test_an_mlp_drops_hidden_units_in_training_alone(gated):
  x = draw(2, 3, 8)
  config = layers.MLPConfig(64, 'relu', gated, bias=False, dropout=0.5)
  dropping, bare = (c.build(POLICY) for c in (
      config, dataclasses.replace(config, dropout=0.0)))
  params = init(bare, x)
  assert jax.tree.structure(init(dropping, x)) == jax.tree.structure(params)
  params['out']['kernel'] = np.eye(64, 8)  # Shows some units as they are.
  rngs = {'dropout': jax.random.key(0)}
  whole = np.asarray(run(bare, params, x))
  np.testing.assert_array_equal(run(dropping, params, x, rngs=rngs), whole)
  dropped = np.asarray(run(dropping, params, x, rngs=rngs, train=True))
  gone = dropped == 0
  assert 0.2 < gone[whole != 0].mean() < 0.8
  np.testing.assert_allclose(dropped[~gone], 2 * whole[~gone], rtol=1e-5)


def test_an_mlp_starts_smaller_towards_the_residual_stream():
  policy = layers.Policy(init_std=0.1, residual_std=0.01)
  params = jax.device_get(jax.jit(layers.MLPConfig(200).build(policy).init)(
      jax.random.key(0), np.ones((1, 1, 100), np.float32))['params'])
  np.testing.assert_allclose(params['in']['kernel'].std(), 0.1, rtol=0.05)
  np.testing.assert_allclose(params['out']['kernel'].std(), 0.01, rtol=0.05)


def test_an_impossible_mlp_is_refused():
  with pytest.raises(errors.InputError, match='hidden should be at least 1'):
    layers.MLPConfig(hidden=0)
  with pytest.raises(errors.InputError, match='dropout should be .* 1.0'):
    layers.MLPConfig(dropout=1.0)


def test_ids_that_are_no_integers_are_refused():
  table = layers.Embedding(5, 4, layers.Policy())
  with pytest.raises(errors.InputError, match=r'array of float32.*astype\(int'):
    table.init(jax.random.key(0), jnp.zeros((1, 3)))
