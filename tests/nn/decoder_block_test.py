"""Blocks with cross-attention by hand: the order of norms and branches."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.nn import attend
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import cross
from lmjax.nn import decoder_block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn.mixture import experts
from lmjax.nn import positions
from lmjax.testing import hot

POLICY = layers.Policy()
RNG = np.random.default_rng(1)
X = RNG.normal(size=(2, 4, 16)).astype(np.float32)
MASK = masks.of_length(4)
MEMORY = cross.Memory(
    cross.visible(MASK, np.ones((2, 3), np.int32)),
    RNG.normal(size=(2, 3, 16)).astype(np.float32))
SIGHT = decoder_block.Sight(MASK, MEMORY)


def parts(config, params):
  """Returns the block's norms and branches as functions of x."""
  def call(name, built, *args):
    return lambda x: built.apply({'params': params[name]}, x, *args)
  mixer = config.mixer.build(POLICY, positions.NoPositions(), attend.plain)
  reader = cross.CrossAttention(config.mixer, POLICY, attend.plain)
  norms = [call(name, config.norm.build())
           for name in ('mixer_norm', 'cross_norm', 'mlp_norm')]
  return norms, [
      lambda x: call('mixer', mixer, MASK)(x)[0],
      lambda x: call('cross', reader, MEMORY)(x)[0],
      call('mlp', config.mlp.build(POLICY))]


@pytest.mark.parametrize('kind', [block.PreNorm, block.PostNorm])
def test_the_order_of_norms_and_branches(kind):
  config = kind(mixer=attention.AttentionConfig(4), mlp=layers.MLPConfig(24))
  wrapped = decoder_block.WithCross(config)
  module = wrapped.module()(
      wrapped, POLICY, positions.NoPositions(), attend.plain)
  params = hot.hot_params(jax.eval_shape(
      lambda: module.init(jax.random.key(0), X, None, SIGHT, None, None,
                          False))['params'])
  def by_hand(params, x):
    for norm, branch in zip(*parts(config, params)):
      x = (x + branch(norm(x)) if kind is block.PreNorm else
           norm(x + branch(x)))
    return x
  want = jax.jit(by_hand)(params, X)
  apply = jax.jit(module.apply, static_argnums=6)
  got, cache = apply({'params': params}, X, None, SIGHT, None, None, False)
  np.testing.assert_allclose(got, want, atol=1e-5)
  assert cache is None

  cache = decoder_block.Cache(config.mixer.empty_cache(2, 4, 16, jnp.float32))
  got, cache = apply(
      {'params': params}, X, cache, SIGHT, None, jnp.zeros(2, int), False)
  np.testing.assert_allclose(got, want, atol=1e-5)
  assert cache.memory.k_BKSH.shape == (2, 4, 3, 4)


@pytest.mark.parametrize('kind', [block.PreNorm, block.PostNorm])
def test_hidden_units_are_dropped_in_training(kind):
  config = kind(mixer=attention.AttentionConfig(4),
                mlp=layers.MLPConfig(24, dropout=0.9))
  wrapped = decoder_block.WithCross(config)
  module = wrapped.module()(
      wrapped, POLICY, positions.NoPositions(), attend.plain)
  arguments = (X, None, SIGHT, None, None)
  def apply(params, train):
    return module.apply({'params': params}, *arguments, train,
                        rngs={'dropout': jax.random.key(1)})[0]
  params = hot.hot_params(jax.eval_shape(
      lambda: module.init(jax.random.key(0), *arguments, False))['params'])
  run = jax.jit(apply, static_argnums=1)
  assert np.abs(run(params, True) - run(params, False)).max() > 0.1


@pytest.mark.parametrize('kind', [block.PreNorm, block.PostNorm])
def test_experts_see_no_padding(kind):
  wrapped = decoder_block.WithCross(kind(
      mixer=attention.AttentionConfig(4), mlp=experts.MixtureOfExperts(24)))
  module = wrapped.module()(
      wrapped, POLICY, positions.NoPositions(), attend.plain)
  segments = np.asarray([[1, 1, 0, 0], [1, 1, 1, 1]])
  own = masks.make(np.arange(4)[None], segments)
  sight = decoder_block.Sight(own, MEMORY)
  def balance(x, params=None):
    return module.apply(
        {'params': params}, x, None, sight, None, None, False,
        mutable=['metrics'])[1]['metrics']['mlp']['balance'][0]
  params = hot.hot_params(jax.eval_shape(
      lambda: module.init(jax.random.key(0), X, None, sight, None, None,
                          False))['params'])
  run = jax.jit(balance)
  noisy = np.where(segments[..., None] > 0, X, np.float32(3))
  np.testing.assert_array_equal(run(X, params), run(noisy, params))


def test_a_block_without_such_a_branch_is_refused():
  @dataclasses.dataclass(frozen=True)
  class Other(block.PreNorm):
    pass
  with pytest.raises(errors.InputError, match="Other.*PostNorm', 'PreNorm"):
    decoder_block.WithCross(Other()).module()
