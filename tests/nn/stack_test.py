"""Stacks of blocks: alike or not, looped or scanned, with caches and stages."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import layouts
from lmjax.core import placement
from lmjax.core import trees
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.nn import attend
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import caches
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import pattern
from lmjax.nn import positions
from lmjax.nn import ssm
from lmjax.nn import stack as stack_lib
from lmjax.objectives import lm
from lmjax.parallel import sharding
from lmjax.testing import batches
from lmjax.testing import equivalence
from lmjax.testing import hot
from lmjax.testing import invariance
from tests.reference import attention as loops
from tests.reference import blocks
from tests.reference import positions as turns

POLICY = layers.Policy()
X = jax.random.normal(jax.random.key(1), (2, 4, 16))
MASK = masks.of_length(4)


def stack(**settings):
  config = block.PreNorm(
      mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(8), dropout=0.1)
  return stack_lib.Stack(
      pattern.arrange(None, config, 2, positions.NoPositions()), POLICY,
      attend.plain, **settings)


def test_stacked_parameters_are_those_a_scan_makes():
  def shapes(scan):
    return jax.eval_shape(
        stack(scan=scan).init, jax.random.key(0), X, None, MASK)['params']
  scanned = shapes(True)
  converted = jax.eval_shape(
      lambda looped: layouts.like(looped, scanned), shapes(False))
  assert dict(trees.items(scanned)) == dict(trees.items(converted))


def test_scanned_layers_do_not_start_alike():
  params = jax.jit(stack(scan=True).init)(
      jax.random.key(0), X, None, MASK)['params']
  kernel = params['layers']['mlp']['in']['kernel']
  assert not np.allclose(kernel[0], kernel[1])


@pytest.mark.parametrize('scan', [False, True])
@pytest.mark.parametrize('remat', ['none', 'full', 'dots', 'offload'])
def test_the_program_says_what_was_asked_for(scan, remat):
  module = stack(scan=scan, remat=remat)
  variables = jax.eval_shape(module.init, jax.random.key(0), X, None, MASK)
  def loss(variables):
    return jnp.sum(module.apply(
        variables, X, None, MASK, train=True,
        rngs={'dropout': jax.random.key(0)})[0])
  found = equivalence.primitives(jax.grad(loss), variables)
  assert ('scan' in found) == scan
  assert bool(found & {'remat2', 'checkpoint'}) == (remat != 'none')


@pytest.mark.slow
def test_offloaded_activations_change_no_gradient():
  variables = hot.hot_params(jax.eval_shape(
      stack(scan=True).init, jax.random.key(0), X, None, MASK))
  def gradient(remat):
    module = stack(scan=True, remat=remat)
    return jax.jit(jax.grad(lambda variables: jnp.sum(jnp.sin(module.apply(
        variables, X, None, MASK)[0]))))
  jax.tree.map(
      functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5),
      gradient('offload')(variables), gradient('none')(variables))
  # Arrays there are of another type; on a CPU that is where they are anyway.
  waits = {remat: '<host>' in str(jax.make_jaxpr(gradient(remat))(variables))
           for remat in ('offload', 'dots')}
  assert waits == {'offload': True, 'dots': False}


def test_shared_layers_are_one_block_applied_again_and_again():
  looped, scanned = stack(shared=True), stack(shared=True, scan=True)
  params = hot.hot_params(jax.eval_shape(
      looped.init, jax.random.key(0), X, None, MASK)['params'])
  assert params.keys() == {'layer_0'}
  twice = {'params': {f'layer_{i}': params['layer_0'] for i in range(2)}}
  want, _ = jax.jit(stack().apply)(twice, X, None, MASK)
  for module in looped, scanned:
    got, _ = jax.jit(module.apply)({'params': params}, X, None, MASK)
    np.testing.assert_allclose(got, want, atol=1e-5)
  fresh = jax.eval_shape(scanned.init, jax.random.key(0), X, None, MASK)
  assert dict(trees.items(fresh['params'])).keys() == dict(
      trees.items(params)).keys()


@pytest.mark.parametrize('shared', [False, True])
def test_each_scanned_layer_drops_different_elements(shared):
  module = stack(scan=True, shared=shared)
  params = jax.tree.map(
      lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(
          module.init, jax.random.key(0), X, None, MASK)['params'])
  # All that a layer adds is this bias, unless it is dropped.
  layer = params['layer_0' if shared else 'layers']
  layer['mlp']['out']['bias'] += 1.0
  got, _ = jax.jit(lambda params: module.apply(
      {'params': params}, X, None, MASK, train=True,
      rngs={'dropout': jax.random.key(0)}))(params)
  assert set(np.unique(np.round((got - X) * 0.9))) >= {1, 2}


# -- layers that differ


MLP = layers.MLPConfig(8, 'relu')
# One layer apart, two periods of two kinds of layers, and one left over.
HYBRID = decoder.DecoderConfig(
    vocab_size=17, context=16, width=16, num_layers=6,
    positions=positions.Rotary(theta=9.0),
    block=block.PreNorm(attention.AttentionConfig(4, 2), MLP),
    pattern=pattern.Periodic(
        first=(pattern.Layer(),),
        period=(
            pattern.Layer(block.PreNorm(ssm.SSMConfig(2, chunk=4), MLP)),
            pattern.Layer(
                block.PostNorm(attention.AttentionConfig(4, 2, window=3), MLP),
                positions.Rotary(theta=50.0)))))
SCANNED = dataclasses.replace(HYBRID, scan=True)
BATCH = batches.packed(batches.documents([5, 4, 6, 3], 17), 10)
to_scan = functools.partial(layouts.like, target=cost.shapes(SCANNED))


@pytest.fixture(scope='module')
def params():
  return hot.hot_params(cost.shapes(HYBRID))


def test_parameters_are_named_by_layer_or_by_place_in_a_period(params):
  layer = {name for name in params if name.startswith('layer')}
  assert layer == {f'layer_{i}' for i in range(6)}
  scanned = cost.shapes(SCANNED)
  layer = {name for name in scanned if name.startswith('layer')}
  assert layer == {'layer_0', 'layers', 'layer_5'}
  assert set(scanned['layers']) == {'place_0', 'place_1'}
  kernel = scanned['layers']['place_1']['mixer']['key']['kernel']
  assert kernel.shape == (2, 16, 8)
  assert 'convolution' in scanned['layer_5']['mixer']
  assert trees.count(scanned) == trees.count(params)


def local_global(x_TD, params, num_layers):
  """A layer apart without positions, then local, local, global ..., by hand."""
  for i in range(num_layers):
    layer, local = params[f'layer_{i}'], i % 3 != 0
    theta = 50.0 if local else 9.0
    def heads(name, x_TD):
      x_TNH = blocks.dense(x_TD, layer['mixer'][name]).reshape(6, -1, 4)
      if i and name != 'value':
        x_TNH = np.array([[turns.rotate(head, t, [1.0, theta ** -0.5])
                           for head in row] for t, row in enumerate(x_TNH)])
      return x_TNH[None]
    h_TD = blocks.layer_norm(x_TD, **layer['mixer_norm'], epsilon=1e-5)
    out_TNH = loops.attend(
        *(heads(name, h_TD) for name in ('query', 'key', 'value')),
        lambda _, t, s: s <= t and (not local or t - s < 2))[0]
    x_TD = x_TD + blocks.dense(out_TNH.reshape(6, -1), layer['mixer']['out'])
    h_TD = blocks.layer_norm(x_TD, **layer['mlp_norm'], epsilon=1e-5)
    x_TD = x_TD + blocks.mlp(h_TD, layer['mlp'])
  return x_TD


@pytest.mark.slow
@pytest.mark.parametrize('scan', [False, True])
def test_local_and_global_layers_are_those_of_a_loop_in_float64(scan):
  """Six layers: one apart, one period, and the first two of another."""
  order = pattern.arrange(
      pattern.LocalGlobal(
          window=2, every=3, local_positions=positions.Rotary(theta=50.0),
          first=(pattern.Layer(positions=positions.NoPositions()),)),
      block.PreNorm(attention.AttentionConfig(4, 2), MLP), 6,
      positions.Rotary(theta=9.0))
  x_BTD = jax.random.normal(jax.random.key(2), (2, 6, 16))
  looped, module = (stack_lib.Stack(order, POLICY, scan=each)
                    for each in (False, scan))
  arguments = x_BTD, None, masks.of_length(6)
  shapes, own = (jax.eval_shape(
      each.init, jax.random.key(0), *arguments)['params']
                 for each in (looped, module))
  params = jax.device_get(hot.hot_params(shapes))
  got, _ = jax.jit(module.apply)(
      {'params': layouts.like(params, own)}, *arguments)
  for row in (0, 1):
    want = local_global(np.asarray(x_BTD[row], np.float64), params, 6)
    np.testing.assert_allclose(got[row], want, atol=2e-5)


@pytest.mark.parametrize('remat', ['none', pytest.param(
    'full', marks=pytest.mark.slow)])
@pytest.mark.slow
def test_scanned_periods_are_looped_layers_backwards_too(remat, params):
  scanned = dataclasses.replace(SCANNED, remat=remat)
  losses = [lm.Causal().build(config.build()) for config in (scanned, HYBRID)]
  equivalence.scan_equals_loop(*losses, params, to_scan, BATCH)
  if remat == 'full':
    found = equivalence.primitives(jax.grad(
        lambda p: losses[0](p, BATCH)['loss'].total), to_scan(params))
    assert found & {'remat2', 'checkpoint'}


@pytest.mark.parametrize('config', [HYBRID, pytest.param(
    SCANNED, marks=pytest.mark.slow)], ids=['looped', 'scanned'])
@pytest.mark.slow
def test_cached_decoding_is_the_full_forward_pass(config, params):
  params, model = layouts.like(params, cost.shapes(config)), config.build()
  def decode(batch, cache):
    mask = masks.make(batch['positions'], batch['segments'])
    return model.apply({'params': params}, batch['inputs'], mask, cache=cache)
  invariance.cached_decode_equals_full(
      decode, model.empty_cache, vocab_size=17)


def test_each_layer_has_the_cache_of_its_kind():
  def kinds(config):
    return [[type(each) for each in (part if isinstance(part, tuple) else (
        part,))] for part in config.build().empty_cache(2, 12).layers]
  period = [ssm.Cache, caches.Ring]
  assert kinds(SCANNED) == [[caches.Contiguous], period, [ssm.Cache]]
  assert kinds(HYBRID) == [[kind] for kind in (
      caches.Contiguous, *period, *period, ssm.Cache)]
  first, stacked, _ = SCANNED.build().empty_cache(2, 12).layers
  assert first.k_BKSH.shape == (2, 2, 12, 4)
  assert stacked[1].k_BKSH.shape == (2, 2, 2, 3, 4)  # A window of three.


@pytest.mark.slow
def test_stages_of_periods_equal_a_scan_with_dropout():
  own = block.PostNorm(
      attention.AttentionConfig(2, window=2), MLP, dropout=0.3)
  config = dataclasses.replace(
      HYBRID, num_layers=4, scan=True, block=block.PreNorm(
          attention.AttentionConfig(4, 2), MLP, dropout=0.3),
      pattern=pattern.Periodic((pattern.Layer(own), pattern.Layer())))
  assert config.traits.stages == 2
  params = hot.hot_params(cost.shapes(config))
  def run(params):
    return config.build().apply(
        {'params': params}, BATCH['inputs'], train=True,
        rngs={'dropout': jax.random.key(3)})[0]
  sizes = sharding.parse('stage:2')
  mesh = jax.sharding.Mesh(
      np.array(jax.devices()[:2]).reshape(tuple(sizes.values())),
      sharding.AXES, axis_types=(jax.sharding.AxisType.Auto,) * len(sizes))
  def divided(params):
    with placement.divided(mesh, sharding.LOGICAL, 2):
      return run(params)
  np.testing.assert_allclose(
      jax.jit(divided)(params), jax.jit(run)(params), atol=1e-5)


def test_layers_outside_complete_periods_allow_no_stages():
  assert SCANNED.traits.stages == HYBRID.traits.stages == 0


def test_fewer_layers_than_a_period_are_not_scanned():
  short = dataclasses.replace(SCANNED, num_layers=2)
  names = {name for name in cost.shapes(short) if name.startswith('layer')}
  assert names == {'layer_0', 'layer_1'}
  assert len(short.build().empty_cache(1, 4).layers) == 2
