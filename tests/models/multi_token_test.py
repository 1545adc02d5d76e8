"""A decoder with heads equals the decoder, and each head is a block."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.models import multi_token
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import pattern
from lmjax.nn import stack
from lmjax.testing import hot

TRUNK = decoder.DecoderConfig(
    vocab_size=11, context=12, width=8, num_layers=1,
    block=block.PreNorm(
        mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(12)))
CONFIG = multi_token.MultiTokenConfig(TRUNK, heads=2)
MODEL = CONFIG.build()
IDS = np.random.default_rng(0).integers(0, 11, (2, 6)).astype(np.int32)


@pytest.fixture(scope='module')
def params():
  return hot.hot_params(jax.eval_shape(
      MODEL.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])


@pytest.mark.slow
def test_without_its_heads_it_is_the_decoder(params):
  alone = {k: v for k, v in params.items() if not k.startswith('ahead')}
  shapes = jax.eval_shape(
      TRUNK.build().init, jax.random.key(0), IDS)['params']
  assert jax.tree.map(lambda p: p.shape, alone) == jax.tree.map(
      lambda p: p.shape, shapes)
  assert params.keys() - alone.keys() == {'ahead_2', 'ahead_3'}
  want, _ = jax.jit(TRUNK.build().apply)({'params': alone}, IDS)
  got, _ = jax.jit(MODEL.apply)({'params': params}, IDS)
  np.testing.assert_array_equal(got, want)
  cached, cache = jax.jit(MODEL.apply)(
      {'params': params}, IDS, cache=MODEL.empty_cache(2, 8))
  np.testing.assert_allclose(cached, want, atol=1e-5)
  assert cache.slots_B.tolist() == [6, 6]


def test_a_head_is_a_block_and_a_norm_on_the_trunk(params):
  @jax.jit
  def ahead(params):
    x, _ = MODEL.apply({'params': params}, IDS, method='hidden')
    return x, MODEL.apply({'params': params}, x, method='ahead')
  x, got = ahead(params)
  for number, one in zip((2, 3), got):
    own = params[f'ahead_{number}']
    y, _ = jax.jit(stack.Stack(
        pattern.arrange(None, TRUNK.block, 1, TRUNK.positions),
        TRUNK.policy).apply)(
            {'params': own['stack']}, x, None, masks.of_length(6))
    want = TRUNK.final_norm.build().apply({'params': own['final_norm']}, y)
    np.testing.assert_allclose(one, want, atol=1e-5)


def test_the_config_has_the_sizes_of_its_trunk():
  unset = multi_token.MultiTokenConfig(
      dataclasses.replace(TRUNK, vocab_size=None), 2)
  assert unset.with_vocab(11) == CONFIG
  assert (CONFIG.vocab_size, CONFIG.context, CONFIG.width, CONFIG.traits.causal) == (
      11, 12, 8, True)
  with pytest.raises(errors.InputError, match='vocab_size is unset'):
    unset.build()
  with pytest.raises(errors.InputError, match='heads .* got 0'):
    multi_token.MultiTokenConfig(TRUNK, 0)
