"""Every family follows the protocol and has the abilities of its traits."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.models import bag_of_ngrams
from lmjax.models import decoder
from lmjax.models import electra
from lmjax.models import encoder
from lmjax.models import model as model_lib
from lmjax.models import MODELS
from lmjax.models import multi_token
from lmjax.models import parts
from lmjax.models import text_cnn
from lmjax.models import xlnet
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn.mixture import experts
from lmjax.nn import recurrent
from lmjax.nn import ssm
from lmjax.testing import hot

VOCAB, B, T, D = 11, 2, 6, 16
IDS = np.random.default_rng(0).integers(0, VOCAB, (B, T)).astype(np.int32)
BLOCK = block.PreNorm(
    attention.AttentionConfig(2), layers.MLPConfig(8))
SMALL = dict(vocab_size=VOCAB, context=8, width=D, num_layers=2, block=BLOCK)
HEADS = {  # Head -> the method that computes it, from hidden states.
    'tokens': 'logits', 'pooler': 'pooled', 'pairs': 'pair_logits',
    'replaced': 'replaced_logits', 'ahead': 'ahead'}


def config_of(name):
  """Returns a small config of the family."""
  if name == 'ElectraConfig':
    made = encoder.EncoderConfig(**SMALL, replaced=encoder.ReplacedHead())
    return electra.ElectraConfig(made, made)
  if name == 'MultiTokenConfig':
    return multi_token.MultiTokenConfig(decoder.DecoderConfig(**SMALL), heads=2)
  if name == 'TextCNNConfig':
    return text_cnn.TextCNNConfig(
        VOCAB, context=8, embedding=6, sizes=(2, 3), maps=D // 2, num_layers=2)
  if name == 'BagOfNgramsConfig':
    return bag_of_ngrams.BagOfNgramsConfig(
        VOCAB, context=8, width=D, ngrams=3, buckets=50)
  small = dict(SMALL)
  if name in ('XLNetConfig', 'RecurrentConfig'):
    del small['block']
    small |= dict(num_heads=2, hidden=8) if name == 'XLNetConfig' else dict(
        cell=recurrent.LSTMConfig(hidden=D))
  if name == 'EncoderConfig':
    small |= dict(pooler=encoder.Pooler(), replaced=encoder.ReplacedHead())
  return MODELS[name](**small)


def made(name):
  config = config_of(name)
  model = config.build()
  params = hot.hot_params(jax.eval_shape(model.init, jax.random.key(0), IDS))
  return config, model, params


def test_configs_that_keep_the_protocol_name_what_others_read():
  for name in MODELS:
    config = config_of(name)
    assert isinstance(config.traits, model_lib.Traits)
    assert (config.vocab_size, config.context, config.width, config.dtype
            ) == (VOCAB, 8, D, 'float32')
    assert config.num_layers == (1 if name == 'BagOfNgramsConfig' else 2)
    assert config.with_vocab(VOCAB) == config
    assert hash(config.traits) is not None  # Plain data.


@pytest.mark.parametrize('name', MODELS)
def test_hidden_states_logits_and_heads_are_what_the_traits_say(name):
  config, model, params = made(name)
  traits = config.traits

  def run(model):
    given = {}
    if traits.encodes:
      encoded = model.encode(IDS)
      assert encoded.shape == (B, T, D)
    if traits.reads_source:
      given['memory_BSD'] = encoded
    if traits.two_stream:
      given['order_BT'] = jnp.broadcast_to(jnp.arange(T)[None], (B, T))
    x_BTD, cache = model.hidden(IDS, None, train=False, **given)
    assert x_BTD.shape == (B, T, D)
    assert cache is None or traits.carries_state
    found = {head: getattr(model, HEADS[head])(x_BTD)
             for head in traits.heads & HEADS.keys()
             if (name, head) != ('ElectraConfig', 'tokens')}
    if 'generator' in traits.heads:
      found['tokens'] = model.logits(model.generator_hidden(IDS)[0])
    if traits.carries_state:
      raw_BTD, dropped_BTD, _ = model.outputs(IDS)
      assert raw_BTD.shape == dropped_BTD.shape == (B, T, D)
    return found

  found = jax.eval_shape(lambda p: model.apply(p, method=run), params)
  wanted = {'tokens': (B, T, VOCAB), 'pooler': (B, D), 'pairs': (B, 2),
            'replaced': (B, T), 'ahead': [(B, T, D)] * 2}
  shapes = {head: jax.tree.map(lambda x: x.shape, x)
            for head, x in found.items()}
  assert shapes == {head: wanted[head]
                    for head in traits.heads - {'generator'}}
  assert found['tokens'].dtype == jnp.float32


@pytest.mark.slow
@pytest.mark.parametrize('name', [
    name for name in MODELS if config_of(name).traits.cached])
def test_a_cached_model_continues_where_it_stopped(name):
  config, model, params = made(name)
  hidden = jax.jit(lambda *args, **given: model.apply(
      params, *args, **given, method='hidden'))
  given = {}
  if config.traits.reads_source:
    given['memory_BSD'] = jax.jit(lambda: model.apply(
        params, IDS, method='encode'))()
  whole_BTD, _ = hidden(IDS, None, **given)
  cache, parts = model.empty_cache(B, T), []
  for t in range(T):
    mask = masks.make(
        np.full((B, 1), t, np.int32), np.ones((B, 1), np.int32))
    x_B1D, cache = hidden(IDS[:, t:t + 1], mask, cache=cache, **given)
    parts.append(x_B1D)
    given = {}  # The cache has seen the memory.
  np.testing.assert_allclose(
      np.concatenate(parts, axis=1), whole_BTD,
      atol=1e-5 * np.std(np.asarray(whole_BTD)))


@pytest.mark.parametrize('name', [
    name for name in MODELS
    if config_of(name).traits.causal or config_of(name).traits.both_ways])
def test_tokens_see_what_comes_after_them_only_if_they_read_both_ways(name):
  config, model, params = made(name)
  hidden = jax.jit(lambda ids: model.apply(params, ids, method='hidden')[0])
  last = IDS.copy()
  last[:, -1] = (last[:, -1] + 1) % VOCAB
  same = np.array_equal(hidden(IDS)[:, :-1], hidden(last)[:, :-1])
  assert same == config.traits.causal != config.traits.both_ways


@pytest.mark.parametrize('changes, traits', [
    (dict(causal=False), dict(causal=False, both_ways=True, cached=False)),
    (dict(scan=True), dict(stages=4)),
    (dict(remat='offload'), dict(offloads=True)),
    (dict(block=block.PreNorm(ssm.SSMConfig(2))), dict(attends=False)),
    (dict(block=block.PreNorm(mlp=experts.MixtureOfExperts())),
     dict(mixture=experts.MixtureOfExperts())),
])
def test_traits_follow_the_config(changes, traits):
  config = decoder.DecoderConfig()
  assert dataclasses.replace(config, **changes).traits == dataclasses.replace(
      config.traits, **traits)


@pytest.mark.parametrize('config, types', [
    (encoder.EncoderConfig(embed=parts.TypedEmbed(types=3)), 3),
    (xlnet.XLNetConfig(), 0), (xlnet.XLNetConfig(types=True), 2),
    (decoder.DecoderConfig(), 0)])
def test_types_are_those_that_have_parameters(config, types):
  assert config.traits.types == types


def test_an_encoder_has_the_heads_that_are_on():
  heads = lambda **changes: encoder.EncoderConfig(**changes).traits.heads
  assert heads() == {'tokens'}
  assert heads(tokens=None, pooler=encoder.Pooler(pairs=False)) == {'pooler'}
  assert heads(pooler=encoder.Pooler(), replaced=encoder.ReplacedHead()) == {
      'tokens', 'pooler', 'pairs', 'replaced'}
  shared = encoder.EncoderConfig(scan=True, shared_layers=True)
  assert not shared.traits.stages
