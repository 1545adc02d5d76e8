"""Blocks against a computation by hand."""
import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.nn import attend
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
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


def test_an_impossible_dropout_is_refused():
  with pytest.raises(errors.InputError, match='dropout .* below 1; got 1'):
    block.PreNorm(dropout=1.0)
