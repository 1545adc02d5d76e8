"""The properties that every encoder-decoder has."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import layouts
from lmjax.core import trees
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.models import encoder_decoder
from lmjax.models.presets import encoder_decoders as presets
from lmjax.nn import masks
from lmjax.testing import batches
from lmjax.testing import equivalence
from lmjax.testing import hot
from lmjax.testing import invariance

VOCAB = 17
T5 = presets.t5(
    16, 2, 4, 24, vocab_size=VOCAB, context=24, head_size=4)
ORIGINAL = presets.transformer(
    16, 1, 4, 24, vocab_size=VOCAB, context=24, dropout=0.1)
STYLES = {'t5': dataclasses.replace(T5, scan=True), 'original': ORIGINAL}
DOCS = batches.documents([5, 4, 6, 3], VOCAB)
BATCH = batches.packed(DOCS, 10)
READ = batches.packed(batches.documents([4, 5, 6, 2], VOCAB, seed=1), 9)


def params_of(config):
  return hot.hot_params(jax.eval_shape(
      config.build().init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))[
          'params'])


@pytest.fixture(scope='module', params=[
    't5', pytest.param('original', marks=pytest.mark.slow)])
def styled(request):
  """A config and its parameters."""
  config = STYLES[request.param]
  return config, params_of(config)


def own(batch):
  return masks.make(batch['positions'], batch['segments'])


def read(batch):
  return masks.make(batch['positions'], batch['segments'], causal=False)


@functools.partial(jax.jit, static_argnums=0)
def forward(model, params, batch, source, key=None):
  """Returns the logits of a batch whose encoder reads another."""
  return model.apply(
      {'params': params}, batch['inputs'], own(batch),
      encoder_inputs_BS=source['inputs'], encoder_mask=read(source),
      train=key is not None,
      rngs=None if key is None else {'dropout': key})[0]


@pytest.mark.slow
def test_every_parameter_has_a_finite_gradient(styled):
  config, params = styled
  model = config.build()
  def loss(params):
    logits = forward(model, params, BATCH, READ, jax.random.key(1))
    return jnp.sum(jax.nn.log_softmax(logits)[..., 0] * BATCH['weights'])
  gradient = jax.jit(jax.grad(loss))(params)
  for path, leaf in trees.items(gradient):
    assert np.all(np.isfinite(leaf)), path
    assert np.any(leaf != 0), path


@pytest.mark.slow
def test_cached_decoding_is_the_full_forward_pass(styled):
  config, params = styled
  model = config.build()
  source = jnp.asarray(READ['inputs'][:1]), read(
      {k: jnp.asarray(v[:1]) for k, v in READ.items()})
  memory = model.apply({'params': params}, *source, method='encode')
  memory = jnp.repeat(memory, 3, axis=0)
  segments = jnp.repeat(source[1].query_segments_BT, 3, axis=0)
  def decode(batch, cache):
    seen = {} if cache is not None and cache.memory_segments_BS is not None \
        else dict(memory_BSD=memory, memory_segments_BS=segments)
    x, cache = model.apply(
        {'params': params}, batch['inputs'], own(batch), cache=cache,
        method='hidden', **seen)
    return model.apply({'params': params}, x, method='logits'), cache
  invariance.cached_decode_equals_full(
      decode, model.empty_cache, vocab_size=VOCAB)


# -- one style is enough for the rest


@pytest.fixture(scope='module')
def t5():
  return T5.build(), params_of(T5)


@pytest.mark.slow
def test_half_precision_keeps_float32_where_it_counts(t5):
  config, params = T5, t5[1]
  model = dataclasses.replace(config, dtype='bfloat16').build()
  fresh = jax.eval_shape(model.init, jax.random.key(0), BATCH['inputs'])
  assert {p.dtype for p in jax.tree.leaves(fresh)} == {jnp.dtype('float32')}
  got = forward(model, params, BATCH, READ)
  want = forward(config.build(), params, BATCH, READ)
  assert got.dtype == jnp.float32
  assert np.abs(got - want).max() < 0.3 * want.std()
  assert np.any(got.astype(jnp.bfloat16) != got)


@pytest.mark.slow
def test_packed_pairs_are_as_if_alone(t5):
  model, params = t5
  got = forward(model, params, BATCH, READ)
  alone = forward(model, params, batches.alone(DOCS), batches.alone(
      batches.documents([4, 5, 6, 2], VOCAB, seed=1)))
  # Two pairs a row: 5 + 4 tokens in the first, 6 + 3 in the second.
  for number, (row, start, size) in enumerate(
      [(0, 0, 5), (0, 5, 4), (1, 0, 6), (1, 6, 3)]):
    np.testing.assert_allclose(
        got[row, start:start + size], alone[number, :size], atol=1e-4)


@pytest.mark.slow
def test_the_decoder_sees_no_future_and_the_encoder_all(t5):
  model, params = t5
  source = np.arange(6)[None] % VOCAB
  def written(inputs):
    return model.apply(
        {'params': params}, inputs,
        encoder_inputs_BS=np.repeat(source, len(inputs), 0))[0]
  invariance.no_future_leakage(written, BATCH['inputs'][:, :5])
  encoded = jax.jit(lambda inputs: model.apply(
      {'params': params}, inputs, method='encode'))
  other = source.copy()
  other[0, -1] = 0
  assert np.abs(encoded(source) - encoded(other)).max(-1).min() > 1e-3


@pytest.mark.slow
def test_without_masks_rows_are_one_text(t5):
  model, params = t5
  ids = BATCH['inputs']
  one = {'inputs': ids, 'segments': np.ones_like(ids),
         'positions': np.broadcast_to(np.arange(10), ids.shape)}
  want = forward(model, params, one, one)
  got, cache = jax.jit(model.apply)({'params': params}, ids)
  assert cache is None
  np.testing.assert_allclose(got, want, atol=1e-5)


@pytest.mark.slow
def test_scanned_rematerialised_and_looped_agree(t5):
  _, params = t5
  want = forward(T5.build(), params, BATCH, READ)
  config = dataclasses.replace(T5, scan=True, remat='full')
  stacked = layouts.like(params, cost.shapes(config))
  got = forward(config.build(), stacked, BATCH, READ)
  np.testing.assert_allclose(got, want, atol=1e-4)
  found = equivalence.primitives(jax.grad(lambda p: forward(
      config.build(), p, BATCH, READ).sum()), stacked)
  assert 'scan' in found and found & {'remat2', 'checkpoint'}


def test_parameters_have_the_names_that_are_api(t5):
  _, params = t5
  assert params.keys() == {'embed', 'encoder', 'decoder', 'head'}
  assert params['decoder'].keys() == {
      'positions', 'layer_0', 'layer_1', 'final_norm'}
  assert params['decoder']['layer_0'].keys() == {
      'mixer', 'mixer_norm', 'cross', 'cross_norm', 'mlp', 'mlp_norm'}
  uneven = dataclasses.replace(T5, num_decoder_layers=1)
  assert params_of(uneven)['decoder'].keys() == {
      'positions', 'layer_0', 'final_norm'}
  whole = jax.eval_shape(lambda: decoder.initial_params(T5.build(), 0))
  assert trees.count(whole) == trees.count(params)


@pytest.mark.slow
def test_dropout_needs_train_and_a_key():
  model, params = ORIGINAL.build(), params_of(ORIGINAL)
  one, two = (forward(model, params, BATCH, READ) for _ in range(2))
  np.testing.assert_array_equal(one, two)
  noisy = forward(model, params, BATCH, READ, jax.random.key(0))
  assert not np.allclose(noisy, one)


def test_what_cannot_be_is_refused(t5):
  model, params = t5
  ids = np.zeros((1, 3), np.int32)
  with pytest.raises(errors.InputError, match='no memory to read'):
    model.apply({'params': params}, ids, method='hidden')
  with pytest.raises(errors.InputError, match='27 tokens, .* is 24'):
    model.apply({'params': params}, np.zeros((1, 27), np.int32))
  with pytest.raises(errors.InputError, match='27 tokens exceeds .* 24'):
    model.empty_cache(1, 27)
  with pytest.raises(errors.InputError, match='vocab_size is unset'):
    presets.PRESETS['tiny_t5'].build()
  with pytest.raises(errors.InputError, match='has 18 ids.* is 17'):
    T5.with_vocab(18)
  assert T5.with_vocab(3) == T5


@pytest.mark.parametrize('changes, message', [
    (dict(width=0), 'DecoderConfig.width should be at least 1; got 0'),
    (dict(num_decoder_layers=0), 'num_decoder_layers should be at least 1'),
])
def test_impossible_shapes_are_refused(changes, message):
  with pytest.raises(errors.InputError, match=message):
    encoder_decoder.EncoderDecoderConfig(**changes)
