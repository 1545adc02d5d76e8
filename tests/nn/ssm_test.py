"""The delta rule against its recurrence, token by token, and as a decoder."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.generation import sample
from lmjax.generation import transforms
from lmjax.models import decoder
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.nn import ssm
from lmjax.testing import batches
from lmjax.testing import hot
from lmjax.testing import invariance
from lmjax.testing import suite

VOCAB = 13
CONFIG = decoder.DecoderConfig(
    vocab_size=VOCAB, context=24, width=12, num_layers=1,
    positions=positions.NoPositions(), final_norm=layers.RMSNorm(),
    block=block.PreNorm(
        mixer=ssm.SSMConfig(num_heads=2, convolution=3, chunk=4),
        mlp=layers.MLPConfig(16)))


def recurrence(q, k, v, decay, write, starts, state):
  """The definition: one row, one head, one token after the other."""
  out = []
  for t in range(len(q)):
    if starts[t]:
      state = np.zeros_like(state)
    old = np.exp(decay[t]) * state if not starts[t] else state
    state = old + write[t] * np.outer(k[t], v[t] - old.T @ k[t])
    out.append(state.T @ q[t])
  return np.array(out), state


@pytest.fixture(scope='module')
def operands():
  rng = np.random.default_rng(0)
  q, k, v = (rng.normal(size=(2, 11, 3, 4)) for _ in range(3))
  k /= np.linalg.norm(k, axis=-1, keepdims=True)
  decay = -rng.exponential(0.3, (2, 11, 3))
  write = rng.uniform(size=(2, 11, 3))
  starts = np.zeros((2, 11), bool)
  starts[0, [0, 4, 5]] = starts[1, 7] = True  # Row 1 begins with its state.
  state = rng.normal(size=(2, 3, 4, 4))
  arrays = q, k, v, decay, write
  out, last = np.zeros((2, 11, 3, 4)), np.zeros((2, 3, 4, 4))
  for b in range(2):
    for n in range(3):
      out[b, :, n], last[b, n] = recurrence(
          *(x[b, :, n] for x in arrays), starts[b], state[b, n])
  return tuple(map(jnp.float32, arrays)), starts, jnp.float32(state), out, last


@pytest.mark.parametrize('chunk', [1, 4, 11, 64])
def test_any_chunk_is_the_recurrence(operands, chunk):
  arrays, starts, state, out, last = operands
  got, after = jax.jit(ssm.delta_rule, static_argnames='chunk')(
      *arrays, jnp.asarray(starts), state, chunk=chunk)
  np.testing.assert_allclose(got, out, atol=1e-5)
  np.testing.assert_allclose(after, last, atol=1e-5)


def test_the_gradient_is_finite_where_documents_start(operands):
  arrays, starts, state, _, _ = operands
  def total(arrays):
    return ssm.delta_rule(*arrays, jnp.asarray(starts), state, chunk=4)[0].sum()
  for leaf in jax.tree.leaves(jax.jit(jax.grad(total))(arrays)):
    assert np.all(np.isfinite(leaf)) and np.any(leaf != 0)


def test_a_fully_written_value_can_be_read():
  eye = jnp.eye(4)[None, :, None]  # Four keys at right angles, one head.
  values = jnp.arange(16.0).reshape(1, 4, 1, 4)
  again = jnp.concatenate([eye, eye[:, ::-1]], axis=1)
  written = jnp.concatenate([values, -values], axis=1)
  none = jnp.zeros((1, 8, 1))
  _, state = jax.jit(functools.partial(ssm.delta_rule, chunk=3))(
      again, again, written, none, none + 1, jnp.zeros((1, 8), bool))
  # The second values replaced the first ones, in reverse.
  np.testing.assert_allclose(state[0, 0], -values[0, ::-1, 0], atol=1e-6)


@pytest.fixture(scope='module')
def made():
  model = CONFIG.build()
  return model, hot.hot_params(jax.eval_shape(
      model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])


def decode(model, params, batch, cache):
  mask = masks.make(batch['positions'], batch['segments'])
  return model.apply({'params': params}, batch['inputs'], mask, cache=cache)


@pytest.mark.slow
def test_cached_decoding_is_the_full_forward_pass(made):
  model, params = made
  invariance.cached_decode_equals_full(
      functools.partial(decode, model, params), model.empty_cache,
      vocab_size=VOCAB)


@pytest.mark.slow
def test_packed_documents_do_not_read_each_other(made):
  model, params = made
  docs = batches.documents([5, 1, 6], VOCAB)
  alone, packed = batches.alone(docs), batches.packed(docs)
  apply = jax.jit(lambda batch: decode(model, params, batch, None)[0])
  np.testing.assert_allclose(
      apply(packed)[packed['weights'] > 0], apply(alone)[alone['weights'] > 0],
      atol=1e-5)


@pytest.mark.slow
def test_a_decoder_of_it_passes_every_check(made):
  model, params = made
  checks = suite.check_all(
      lambda params, batch: decode(model, params, batch, None)[0], params,
      vocab_size=VOCAB, decode=functools.partial(decode, model),
      empty_cache=model.empty_cache)
  assert 'cached_decode_equals_full' in checks


@pytest.mark.slow
def test_prompts_of_different_lengths_do_not_affect_each_other(made):
  model, params = made
  def continued(prompts):
    return sample.generate(
        model, params, prompts, max_new_tokens=4,
        sampling=transforms.Sampling(temperature=0)).tokens
  together = continued([[1, 2, 3, 4, 5], [6, 7]])
  np.testing.assert_array_equal(together[1], continued([[6, 7]])[0])


@pytest.mark.slow
def test_padding_after_a_prompt_leaves_the_cache_alone(made):
  model, params = made
  ids = jnp.array([[3, 1, 4, 1, 5]])
  @jax.jit
  def read(ids, real, cache):
    mask = masks.make(jnp.arange(ids.shape[1])[None] * real, real)
    return model.apply(
        {'params': params}, ids, mask, cache=cache)[1].layers
  real = jnp.array([[1, 1, 1, 0, 0]])
  one, other = (read(ids.at[0, 3:].set(fill), real, model.empty_cache(1, 9))
                for fill in (0, 7))
  jax.tree.map(np.testing.assert_array_equal, one, other)
  alone = read(ids[:, :3], real[:, :3], model.empty_cache(1, 9))
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6),
               one, alone)


def test_the_options_change_parameters_as_they_should():
  def names(**changes):
    mixer = dataclasses.replace(CONFIG.block.mixer, **changes)
    module = mixer.build(layers.Policy(), positions.NoPositions())
    params = jax.eval_shape(
        module.init, jax.random.key(0), jnp.zeros((1, 3, 12)),
        masks.of_length(3))['params']
    return jax.tree.map(lambda p: p.shape, params)
  assert names(head_size=5, gated=False)['out'] == {'kernel': (10, 12)}
  assert 'gate' not in names(gated=False) and 'gate' in names()
  assert names(convolution=1)['convolution'] == {'kernel': (1, 36)}


@pytest.mark.parametrize('changes, message', [
    (dict(positions=positions.Alibi()), 'no attention logits to bias'),
    (dict(causal=False), 'left to right only'),
])
def test_what_needs_attention_is_refused(changes, message):
  model = dataclasses.replace(CONFIG, **changes).build()
  with pytest.raises(errors.InputError, match=message):
    jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))


def test_impossible_sizes_are_refused():
  with pytest.raises(errors.InputError, match='SSMConfig.chunk .* got 0'):
    ssm.SSMConfig(chunk=0)
  with pytest.raises(errors.InputError, match='model.width = 18 .* 4 heads'):
    ssm.SSMConfig().size(18)
