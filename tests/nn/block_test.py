"""Blocks by hand, and the converters between looped and scanned stacks."""
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
  norm1, mixer, norm2, mlp = parts(config, params)
  if kind is block.PreNorm:  # x + f(norm(x)), twice.
    h = X + mixer(norm1(X))
    want = h + mlp(norm2(h))
  else:  # norm(x + f(x)), twice.
    h = norm1(X + mixer(X))
    want = norm2(h + mlp(h))
  got, _ = module.apply({'params': params}, *arguments)
  np.testing.assert_allclose(got, want, atol=1e-5)


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
  params = stack(scan=True).init(jax.random.key(0), X, None, MASK)['params']
  kernel = params['layers']['mlp']['in']['kernel']
  assert not np.allclose(kernel[0], kernel[1])


@pytest.mark.parametrize('scan', [False, True])
@pytest.mark.parametrize('remat', ['none', 'full', 'dots'])
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


def test_an_impossible_dropout_is_refused():
  with pytest.raises(errors.InputError, match='block.dropout .* got 1.0'):
    block.PreNorm(dropout=1.0)
