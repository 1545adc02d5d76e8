"""Heads divided over devices equal the undivided layer, and so do gradients."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn.distributed import collectives
from lmjax.nn.distributed import tensor
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.testing import hot

B, T, D = 4, 6, 16
POLICY = layers.Policy()
X = jax.random.normal(jax.random.key(0), (B, T, D))
PLAIN = attention.AttentionConfig(num_heads=8)
GROUPED = attention.AttentionConfig(
    num_heads=4, num_kv_heads=2, head_size=8, bias=False, window=3,
    qk_norm=layers.RMSNorm(), softcap=3.0)


def on_grid(axes, tree):
  """Returns rows [B, ...] as [devices, rows, ...], alike along 'model'."""
  data = len(axes['data'].groups[0])
  return jax.tree.map(lambda x: np.asarray(x).reshape(data, -1, *x.shape[1:])[
      np.array(axes['data'].places)], tree)


def layer_params(config, place):
  params = jax.eval_shape(
      config.build(POLICY, place).init, jax.random.key(0), X,
      masks.of_length(T))['params']
  return hot.hot_params(params, std=0.3)


def gradient(layer, params, x):
  """Returns gradients of the parameters and x, and the layer's result."""
  def total(params, x):
    out, _ = layer.apply({'params': params}, x, masks.of_length(T))
    return jnp.sum(jnp.sin(out)), out
  return jax.grad(total, (0, 1), has_aux=True)(params, x)


def divided_gradient(config, place, params, **sizes):
  """Returns the same from a grid of four devices, put together."""
  axes = collectives.grid('devices', **sizes)
  layer = tensor.Divided(config, axes['model']).build(POLICY, place)

  def on_each_device(params, x):
    (d_params, d_x), out = gradient(layer, params, x)
    return axes['data'].sum(d_params), d_x, out

  d_params, d_x, out = jax.pmap(
      on_each_device, axis_name='devices', devices=jax.devices()[:4])(
      tensor.split(params, axes['model']), on_grid(axes, X))
  d_x, out = np.asarray(d_x), np.asarray(out)
  for leaf in d_x, out:  # The same wherever the rows are the same.
    for group in axes['model'].groups:
      for number in group:
        np.testing.assert_allclose(leaf[number], leaf[group[0]], atol=1e-6)
  first = np.array([group[0] for group in axes['model'].groups])
  return ((tensor.join(d_params, axes['model']),
           d_x[first].reshape(X.shape)), out[first].reshape(X.shape))


CASES = {
    'plain': (PLAIN, positions.NoPositions(), dict(data=2, model=2)),
    'grouped': (GROUPED, positions.Rotary(), dict(data=2, model=2)),
    'model alone': (PLAIN, positions.Rotary(), dict(data=1, model=4)),
}


@pytest.mark.parametrize('name', CASES)
def test_a_divided_layer_is_the_layer(name):
  config, place, sizes = CASES[name]
  params = layer_params(config, place)
  layer = config.build(POLICY, place)
  want = jax.jit(functools.partial(gradient, layer))(params, X)
  got = divided_gradient(config, place, params, **sizes)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a, b, atol=1e-5), got, want)


def test_without_the_pair_gradients_are_multiplied(monkeypatch):
  params = layer_params(PLAIN, positions.NoPositions())
  want, _ = jax.jit(functools.partial(gradient, PLAIN.build(
      POLICY, positions.NoPositions())))(params, X)
  monkeypatch.setattr(collectives, 'fan_out', lambda tree, axis: tree)
  monkeypatch.setattr(
      collectives, 'fan_in', lambda tree, axis: axis.sum(tree))
  axes = collectives.grid('devices', data=1, model=4)
  layer = tensor.Divided(PLAIN, axes['model']).build(
      POLICY, positions.NoPositions())
  (d_params, d_x), _ = jax.pmap(
      functools.partial(gradient, layer), axis_name='devices',
      devices=jax.devices()[:4])(tensor.split(params, 4), on_grid(axes, X))
  got = tensor.join(d_params, 4)
  for name in ('query', 'value', 'out'):
    np.testing.assert_allclose(
        got[name]['kernel'], 4 * want[0][name]['kernel'], atol=1e-4)
  # And of the gradient of what comes before, each device has a part only.
  d_x = np.asarray(d_x)
  assert np.abs(d_x[0] - d_x[1]).max() > 0.1
  np.testing.assert_allclose(d_x.sum(0), 4 * want[1], atol=1e-4)


@pytest.mark.parametrize(
    'scan', [pytest.param(False, marks=pytest.mark.slow), True])
@pytest.mark.slow
def test_a_whole_decoder_trains_with_divided_heads(scan):
  axes = collectives.grid('devices', data=2, model=2)
  whole = decoder.DecoderConfig(
      vocab_size=11, width=D, num_layers=2, scan=scan,
      remat='full' if scan else 'none', positions=positions.Relative(),
      block=block.PreNorm(mixer=PLAIN, mlp=layers.MLPConfig(hidden=8)))
  parted = dataclasses.replace(whole, block=dataclasses.replace(
      whole.block, mixer=tensor.Divided(PLAIN, axes['model'])))
  params = hot.hot_params(
      decoder.initial_params(whole.build(), 0), std=0.3)
  ids = jax.random.randint(jax.random.key(1), (B, T), 0, 11)

  def grad(config, params, ids):
    def total(params):
      logits, _ = config.build().apply({'params': params}, ids)
      return jnp.sum(jax.nn.log_softmax(logits)[..., 3])
    return jax.value_and_grad(total)(params)

  want = jax.jit(functools.partial(grad, whole))(params, ids)
  got = jax.pmap(
      lambda *args: axes['data'].sum(grad(parted, *args)),
      axis_name='devices', devices=jax.devices()[:4])(
          tensor.split(params, axes['model']), on_grid(axes, ids))
  np.testing.assert_allclose(got[0], want[0], rtol=1e-6)
  got = jax.device_get(got)
  for number in (0, 1):  # What is not divided has one gradient everywhere.
    for path in ('embed', 'final_norm'):
      jax.tree.map(lambda a, b: np.testing.assert_allclose(
          a[number], b, atol=2e-5), got[1][path], want[1][path])
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-5),
               tensor.join(got[1], axes['model']), want[1])


def test_a_cache_holds_the_keys_of_the_devices_own_heads():
  whole = dataclasses.replace(GROUPED, window=None)
  config = tensor.Divided(whole, 'devices')
  params = layer_params(whole, positions.NoPositions())
  layer = config.build(POLICY, positions.NoPositions())
  where = jnp.arange(T)[None]

  def on_each_device(params):
    def step(cache, t):
      cut = lambda x: jax.lax.dynamic_slice_in_dim(x, t, 1, axis=1)
      out, cache = layer.apply(
          {'params': params}, cut(X), masks.Mask(cut(where), where),
          cache=cache, slots_B=jnp.full(B, t))
      return cache, out[:, 0]
    cache, outs = jax.lax.scan(
        step, config.empty_cache(B, T, D, 'float32'), jnp.arange(T))
    return outs.swapaxes(0, 1), cache.k_BKSH

  out, keys = jax.pmap(on_each_device, axis_name='devices',
                       devices=jax.devices()[:2])(tensor.split(params, 2))
  want, _ = jax.jit(whole.build(POLICY, positions.NoPositions()).apply)(
      {'params': params}, X, masks.of_length(T))
  np.testing.assert_allclose(out[0], want, atol=1e-5)
  assert keys.shape == (2, B, 1, T, 8)


@pytest.mark.slow
def test_dropout_is_the_same_on_any_number_of_devices():
  config = attention.AttentionConfig(num_heads=8, dropout=0.5)
  layer = tensor.Divided(config, 'devices').build(
      POLICY, positions.NoPositions())
  params = layer_params(config, positions.NoPositions())

  def on_each_device(params):
    return layer.apply({'params': params}, X, masks.of_length(T), train=True,
                       rngs={'dropout': jax.random.key(0)})[0]

  one, two, eight = (
      jax.pmap(on_each_device, axis_name='devices',
               devices=jax.devices()[:count])(tensor.split(params, count))[0]
      for count in (1, 2, 8))
  np.testing.assert_allclose(two, one, atol=1e-5)
  np.testing.assert_allclose(eight, one, atol=1e-5)
  without = jax.jit(config.build(POLICY, positions.NoPositions()).apply)(
      {'params': params}, X, masks.of_length(T))[0]
  assert np.max(np.abs(one - without)) > 1e-2


def test_split_divides_mixers_and_copies_the_rest():
  params = {'layer_0': {
      'mixer': {'query': {'kernel': jnp.ones((6, 8))},
                'out': {'kernel': jnp.ones((8, 6)), 'bias': jnp.ones(6)}},
      'cross': {'query': {'kernel': jnp.ones((6, 8))}},
      'mlp': {'out': {'kernel': jnp.ones((12, 6))}}}}
  got = tensor.split(params, 2)
  shapes = {k: jax.tree.map(jnp.shape, v) for k, v in got['layer_0'].items()}
  assert shapes['mixer']['query']['kernel'] == (2, 6, 4)
  assert shapes['mixer']['out'] == {'kernel': (2, 4, 6), 'bias': (2, 6)}
  assert shapes['cross']['query']['kernel'] == (2, 6, 8)
  assert shapes['mlp']['out']['kernel'] == (2, 12, 6)
  assert jax.tree.map(jnp.shape, tensor.join(got, 2)) == jax.tree.map(
      jnp.shape, params)


@pytest.mark.parametrize('config, message', [
    (attention.AttentionConfig(num_heads=4), 'num_heads = 4 .* 8 .* is 4'),
    (attention.AttentionConfig(num_heads=16, num_kv_heads=2, head_size=4),
     'num_kv_heads = 2 .* over 8 devices.* is 2')])
def test_heads_that_do_not_divide_are_refused(config, message):
  layer = tensor.Divided(config, 'devices').build(
      POLICY, positions.NoPositions())
  with pytest.raises(errors.InputError, match=message):
    jax.pmap(lambda x: layer.apply({'params': {}}, x, masks.of_length(T)),
             axis_name='devices')(jnp.zeros((8, 1, T, D)))


def test_parameters_that_cannot_be_divided_are_refused():
  params = {'query': {'kernel': jnp.ones((4, 6))}}
  with pytest.raises(errors.InputError, match='query/kernel .* over 4'):
    tensor.split(params, 4)
  with pytest.raises(errors.InputError, match='give their number'):
    tensor.split(params, collectives.Axis('devices'))


def test_initialising_divided_heads_is_refused():
  layer = tensor.Divided(PLAIN, 'devices').build(
      POLICY, positions.NoPositions())
  with pytest.raises(errors.InputError, match='tensor.split'):
    layer.init(jax.random.key(0), X, masks.of_length(T))
