"""Blocks by hand, and the converters between looped and scanned stacks."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.nn import attend
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.testing import equivalence
from lmjax.testing import hot

POLICY = layers.Policy()
X = jax.random.normal(jax.random.key(1), (2, 4, 16))
MASK = masks.of_length(4)


def parts(config, params):
  """Returns the block's four parts as functions of x."""
  def call(built, name, *args):
    return lambda x: built.apply({'params': params[name]}, x, *args)
  mixer = config.mixer.build(POLICY, positions.NoPositions(), attend.plain)
  return (call(config.norm.build(), 'mixer_norm'),
          lambda x: call(mixer, 'mixer', MASK)(x)[0],
          call(config.norm.build(), 'mlp_norm'),
          call(config.mlp.build(POLICY), 'mlp'))


@pytest.mark.parametrize('kind', [block.PreNorm, block.PostNorm])
def test_the_order_of_norms_and_branches(kind):
  config = kind(mixer=attention.AttentionConfig(4), mlp=layers.MLPConfig(24))
  module = config.module()(
      config, POLICY, positions.NoPositions(), attend.plain)
  arguments = (X, None, MASK, None, None, False)
  params = hot.hot_params(jax.eval_shape(
      lambda: module.init(jax.random.key(0), *arguments))['params'])
  norm1, mixer, norm2, mlp = map(jax.jit, parts(config, params))
  if kind is block.PreNorm:  # x + f(norm(x)), twice.
    h = X + mixer(norm1(X))
    want = h + mlp(norm2(h))
  else:  # norm(x + f(x)), twice.
    h = norm1(X + mixer(X))
    want = norm2(h + mlp(h))
  got, _ = jax.jit(lambda params: module.apply(
      {'params': params}, *arguments))(params)
  np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.parametrize('kind', [block.PreNorm, block.PostNorm])
def test_hidden_units_are_dropped_in_training(kind):
  config = kind(mixer=attention.AttentionConfig(4),
                mlp=layers.MLPConfig(24, dropout=0.9))
  module = config.module()(
      config, POLICY, positions.NoPositions(), attend.plain)
  arguments = (X, None, MASK, None, None)
  def apply(params, train):
    return module.apply({'params': params}, *arguments, train,
                        rngs={'dropout': jax.random.key(1)})[0]
  params = hot.hot_params(jax.eval_shape(
      lambda: module.init(jax.random.key(0), *arguments, False))['params'])
  run = jax.jit(apply, static_argnums=1)
  assert np.abs(run(params, True) - run(params, False)).max() > 0.1


def stack(**settings):
  config = block.PreNorm(
      mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(8), dropout=0.1)
  return block.Stack(config, 2, POLICY, positions.NoPositions(), attend.plain,
                     **settings)


def test_converters_are_inverse_and_sort_by_number():
  looped = {f'layer_{i}': {'kernel': jnp.full((2,), i)} for i in range(12)}
  looped['embed'] = {'embedding': jnp.ones(3)}
  scanned = block.stack_layers(looped)
  assert scanned.keys() == {'layers', 'embed'}
  np.testing.assert_array_equal(
      scanned['layers']['kernel'][:, 0], np.arange(12))
  assert trees.digest(block.unstack_layers(scanned)) == trees.digest(looped)


def test_stacked_parameters_are_those_a_scan_makes():
  def shapes(scan):
    return jax.eval_shape(
        stack(scan=scan).init, jax.random.key(0), X, None, MASK)['params']
  scanned = shapes(True)
  converted = jax.eval_shape(block.stack_layers, shapes(False))
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


def test_what_waits_on_the_host_changes_no_gradient():
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


def test_an_impossible_dropout_is_refused():
  with pytest.raises(errors.InputError, match='block.dropout .* got 1.0'):
    block.PreNorm(dropout=1.0)


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
def test_scanned_layers_drop_each_their_own(shared):
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


def test_alternating_layers_differ_in_window_and_wavelength():
  config, rotary = block.PreNorm(), positions.Rotary(theta=9.0)
  turns = block.Alternating(window=5, every=3, theta=2.0)
  for i in range(7):
    layer, where = turns.layer(i, config, rotary)
    is_global = i in (0, 3, 6)
    assert layer.mixer.window == (None if is_global else 5)
    assert where.theta == (9.0 if is_global else 2.0)
  assert turns.layer(1, config, positions.Learned())[1] == positions.Learned()
  kept = block.Alternating(theta=None).layer(1, config, rotary)
  assert kept[1] == rotary
  with pytest.raises(errors.InputError, match='every >= 2; got 5 and 1'):
    block.Alternating(window=5, every=1)
