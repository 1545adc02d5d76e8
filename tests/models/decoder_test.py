"""The properties that every decoder has."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax.core import trees
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attend
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.nn import rotary
from lmjax.objectives import lm
from lmjax.testing import batches
from lmjax.testing import hot
from lmjax.testing import invariance

VOCAB = 17
GPT = decoder.DecoderConfig(
    vocab_size=VOCAB, context=24, width=16, num_layers=2,
    positions=positions.Learned(), embed=parts.Embed(dropout=0.1),
    block=block.PreNorm(
        mixer=attention.AttentionConfig(4, dropout=0.1),
        mlp=layers.MLPConfig(24), dropout=0.1))
NORM = layers.RMSNorm()
LLAMA = decoder.DecoderConfig(
    vocab_size=VOCAB, context=24, width=16, num_layers=2,
    positions=positions.Rotary(scaling=rotary.YarnScaling(2.0, 12)),
    block=block.PreNorm(
        mixer=attention.AttentionConfig(
            4, 2, head_size=6, bias=False, out_bias=False, qk_norm=NORM,
            window=4),
        mlp=layers.MLPConfig(24, 'silu', gated=True, bias=False), norm=NORM),
    final_norm=NORM, head=parts.Head(tied=False, bias=True))
T5ISH = dataclasses.replace(
    GPT, positions=positions.Relative(8, 16),
    head=parts.Head(softcap=20.0),
    embed=parts.Embed(scale='sqrt_width', dropout=0.1), block=block.PostNorm(
        mixer=attention.AttentionConfig(4, 1, softcap=10.0),
        mlp=layers.MLPConfig(24, 'relu'), dropout=0.1), final_norm=None)
STYLES = {'gpt': GPT, 'llama': LLAMA, 't5ish': T5ISH}
BATCH = batches.packed(batches.documents([5, 4, 6, 3], VOCAB), 10)


def params_of(config):
  return hot.hot_params(jax.eval_shape(
      config.build().init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))[
          'params'])


@pytest.fixture(scope='module', params=[
    'gpt', 'llama', pytest.param('t5ish', marks=pytest.mark.slow)])
def styled(request):
  """A config and its parameters."""
  config = STYLES[request.param]
  return config, params_of(config)


@pytest.mark.slow
def test_every_parameter_has_a_finite_gradient(styled):
  config, params = styled
  objective = lm.Causal(z_loss=1e-4).build(config.build())
  def loss(params):
    return objective(params, BATCH, rng=jax.random.key(1))['loss'].total
  gradient = jax.jit(jax.grad(loss))(params)
  for path, leaf in trees.items(gradient):
    assert np.all(np.isfinite(leaf)), path
    assert np.any(leaf != 0), path


@pytest.mark.slow
def test_cached_decoding_is_the_full_forward_pass(styled):
  config, params = styled
  model = config.build()
  def decode(batch, cache):
    mask = masks.make(batch['positions'], batch['segments'])
    return model.apply({'params': params}, batch['inputs'], mask, cache=cache)
  invariance.cached_decode_equals_full(
      decode, model.empty_cache, vocab_size=VOCAB)


def test_config_survives_json_and_flags(styled):
  config, _ = styled
  tree = config_lib.to_dict(config)
  assert config_lib.freeze(decoder.DecoderConfig, tree) == config
  changed = overrides.override(
      config, {'dtype': 'bfloat16', 'positions.kind': 'Alibi'})
  assert changed == dataclasses.replace(
      config, dtype='bfloat16', positions=positions.Alibi())


def test_hidden_then_logits_is_the_whole(styled):
  config, params = styled
  model, variables = config.build(), {'params': params}
  apply = jax.jit(model.apply, static_argnames='method')
  whole, cache = apply(variables, BATCH['inputs'])
  hidden, _ = apply(variables, BATCH['inputs'], method='hidden')
  assert cache is None and hidden.shape == (2, 10, 16)
  np.testing.assert_array_equal(
      apply(variables, hidden, method='logits'), whole)


def test_half_precision_keeps_float32_where_it_counts(styled):
  config, params = styled
  model = dataclasses.replace(config, dtype='bfloat16').build()
  variables = {'params': params}
  fresh = jax.eval_shape(model.init, jax.random.key(0), BATCH['inputs'])
  assert {p.dtype for p in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}
  got, _ = jax.jit(model.apply)(variables, BATCH['inputs'])
  want, _ = jax.jit(config.build().apply)(variables, BATCH['inputs'])
  assert got.dtype == jnp.float32
  assert np.abs(got - want).max() < 0.2 * want.std()
  assert np.any(got.astype(jnp.bfloat16) != got)  # Not rounded on the way.
  assert model.empty_cache(1, 4).layers[0].k_BKSH.dtype == jnp.bfloat16


def test_the_loss_computes_no_logarithm_in_half_precision(styled):
  config, params = styled
  objective = lm.Causal(label_smoothing=0.1, z_loss=0.1).build(
      dataclasses.replace(config, dtype='bfloat16').build())
  program = str(jax.make_jaxpr(objective)(params, BATCH))
  assert 'bf16' in program
  for line in program.splitlines():
    # Norm statistics, softmax, rotary angles and the loss.
    if any(f' {name} ' in line or f' {name}[' in line for name in (
        'exp', 'log', 'cos', 'sin', 'rsqrt', 'reduce_max', 'reduce_sum')):
      assert 'bf16' not in line, line


# -- one style is enough for the rest


@pytest.fixture(scope='module')
def gpt():
  return GPT.build(), {'params': params_of(GPT)}


@pytest.mark.slow
def test_without_a_mask_rows_are_one_document(gpt):
  model, variables = gpt
  ids = BATCH['inputs']
  where = np.broadcast_to(np.arange(10), ids.shape)
  apply = jax.jit(lambda *args: model.apply(variables, *args)[0])
  got = apply(ids)
  for segments in (None, np.ones_like(ids)):
    want = apply(ids, masks.make(where, segments))
    np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.slow
def test_dropout_needs_train_and_evaluation_is_deterministic(gpt):
  model, variables = gpt
  ids = BATCH['inputs']
  apply = jax.jit(lambda key, train: model.apply(
      variables, ids, train=train, rngs={'dropout': key})[0],
                  static_argnames='train')
  one, two, noisy = (
      apply(jax.random.key(seed), train=train)
      for seed, train in ((0, False), (1, False), (0, True)))
  np.testing.assert_array_equal(one, two)
  assert not np.allclose(noisy, one)


def test_another_attend_is_used_in_every_layer():
  calls = []
  def mine(q, k, v, mask, **options):
    calls.append(q.shape)
    return attend.plain(q, k, v, mask, **options)
  model = GPT.build(attend=mine)
  jax.eval_shape(model.init, jax.random.key(0), BATCH['inputs'])
  assert calls == [(2, 10, 4, 4)] * 2


def test_parameters_have_the_names_that_are_api():
  names = {path.partition('/')[0] for path, _ in trees.items(params_of(GPT))}
  assert names == {
      'embed', 'positions', 'layer_0', 'layer_1', 'final_norm'}
  scanned = params_of(dataclasses.replace(LLAMA, scan=True))
  assert scanned.keys() == {'embed', 'layers', 'final_norm', 'head'}
  assert scanned['layers']['mixer']['query']['kernel'].shape == (2, 16, 24)


@pytest.mark.slow
def test_initial_residual_kernels_shrink_with_depth():
  config = dataclasses.replace(GPT, width=64, num_layers=8, scan=True)
  params = jax.jit(config.build().init)(
      jax.random.key(0), BATCH['inputs'])['params']
  mlp = params['layers']['mlp']
  np.testing.assert_allclose(mlp['in']['kernel'].std(), 0.02, rtol=0.05)
  np.testing.assert_allclose(mlp['out']['kernel'].std(), 0.02 / 4, rtol=0.05)


def test_too_many_tokens_are_refused_with_both_numbers(gpt):
  model, variables = gpt
  with pytest.raises(errors.InputError, match='25 tokens, .* is 24'):
    model.apply(variables, np.zeros((1, 25), np.int32))
  with pytest.raises(errors.InputError, match='25 tokens exceeds .* 24'):
    model.empty_cache(1, 25)


@pytest.mark.parametrize('changes, message', [
    (dict(width=0), 'DecoderConfig.width should be at least 1; got 0'),
    (dict(num_layers=-1), 'num_layers should be at least 1; got -1'),
    (dict(width=18), 'model.width = 18 does not divide'),
])
def test_impossible_shapes_are_refused(changes, message):
  with pytest.raises(errors.InputError, match=message):
    dataclasses.replace(GPT, **changes)


def test_an_unset_vocabulary_size_becomes_the_tokenizers():
  unset = dataclasses.replace(GPT, vocab_size=None)
  assert unset.with_vocab(300).vocab_size == 300
  assert GPT.with_vocab(VOCAB) == GPT.with_vocab(3) == GPT
  with pytest.raises(errors.InputError, match='has 18 ids.* is 17'):
    GPT.with_vocab(18)
  with pytest.raises(errors.InputError, match='with_vocab'):
    unset.build()


def test_a_bidirectional_decoder_sees_ahead_and_cannot_generate():
  model = dataclasses.replace(
      GPT, causal=False).build()
  params = hot.hot_params(cost.shapes(model.config), 1)
  apply = jax.jit(lambda ids_BT: model.apply({'params': params}, ids_BT)[0])
  one, other = (apply(jnp.array([[1, 2, last]])) for last in (3, 4))
  assert not np.allclose(one[0, 0], other[0, 0])
  with pytest.raises(errors.InputError, match='model.causal = False'):
    model.empty_cache(1, 3)


@pytest.mark.parametrize('tied', [False, True])
def test_logits_are_capped_softly(tied):
  config = dataclasses.replace(LLAMA, head=parts.Head(tied=tied, softcap=2.0))
  params = params_of(config)
  x_BTD = 20 * np.random.default_rng(0).normal(size=(1, 3, 16)).astype(
      np.float32)
  capped, free = (jax.jit(functools.partial(c.build().apply, method='logits'))(
      {'params': params}, x_BTD)
                  for c in (config, dataclasses.replace(
                      config, head=parts.Head(tied=tied))))
  assert np.abs(free).max() > 4
  np.testing.assert_allclose(capped, 2.0 * np.tanh(free / 2.0), atol=1e-5)
