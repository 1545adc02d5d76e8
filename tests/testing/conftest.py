"""Our own decoder, with hot weights, as the kit's first user."""
import types

import jax
import jax.numpy as jnp
import pytest

from lmjax.models import decoder
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.testing import hot

VOCAB = 13


def build(attend=None, dropout=0.0, **changes):
  """Returns a tiny decoder and the functions that the kit asks for."""
  config = decoder.DecoderConfig(**dict(dict(
      vocab_size=VOCAB, context=32, width=16, num_layers=1,
      positions=positions.Learned(),  # A constant shift shows, unlike rotary's.
      block=block.PreNorm(
          mixer=attention.AttentionConfig(num_heads=4, num_kv_heads=2),
          mlp=layers.MLPConfig(hidden=24), dropout=dropout)), **changes))
  model = config.build() if attend is None else config.build(attend=attend)
  shapes = jax.eval_shape(
      model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params']

  def decode(params, batch, cache):
    return model.apply(
        {'params': params}, batch['inputs'],
        masks.make(batch['positions'], batch['segments']), cache=cache)

  return types.SimpleNamespace(
      config=config, model=model, params=hot.hot_params(shapes), decode=decode,
      logits=lambda params, batch: decode(params, batch, None)[0],
      empty_cache=model.empty_cache, vocab_size=VOCAB)


@pytest.fixture(scope='session')
def subject():
  """A decoder without mistakes."""
  return build()


@pytest.fixture(scope='session')
def make_subject():
  """Builds decoders with other settings or another attention."""
  return build


@pytest.fixture(scope='session')
def toy():
  """A language model of one attention, quick to compile: (loss, params)."""
  def loss(params, batch):
    x_BTD = (params['embed'][batch['inputs']]
             + params['positions'][batch['positions']])
    logits_BTS = jnp.einsum('BTD,BSD->BTS', x_BTD @ params['query'], x_BTD)
    mask_BTS = masks.make(batch['positions'], batch['segments']).dense()
    x_BTD += jax.nn.softmax(jnp.where(mask_BTS, logits_BTS, -1e9)) @ x_BTD
    scores_BTV = jax.nn.log_softmax(x_BTD @ params['embed'].T)
    nll_BT = -jnp.take_along_axis(
        scores_BTV, batch['targets'][..., None], -1)[..., 0]
    return jnp.sum(nll_BT * batch['weights']), jnp.sum(batch['weights'])

  shapes = {name: jax.ShapeDtypeStruct((size, 8), jnp.float32)
            for name, size in (('embed', VOCAB), ('positions', 32),
                               ('query', 8))}
  return loss, hot.hot_params(shapes, std=0.5)
