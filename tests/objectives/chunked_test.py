"""A few logits at a time give the loss and the gradients of all at once."""
import dataclasses
import functools

import jax
from jax.extend import core as jax_core
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax.core import trees
from lmjax.models import decoder
from lmjax.models import lstm
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import recurrent
from lmjax.objectives import chunked
from lmjax.objectives import lm
from lmjax.objectives import losses
from lmjax.testing import batches
from lmjax.testing import hot
from lmjax.training.optimizers import sgd
from lmjax.training import step

VOCAB, WIDTH = 53, 16
BATCH = batches.packed(batches.documents([5, 3, 4, 7], VOCAB), 9)
BOTH = dict(label_smoothing=0.1, z_loss=0.01)
CONFIG = decoder.DecoderConfig(
    vocab_size=VOCAB, context=16, width=WIDTH, num_layers=1,
    block=block.PreNorm(
        mixer=attention.AttentionConfig(2, bias=False),
        mlp=layers.MLPConfig(16)))


@functools.cache
def model_and_params(**changes):
  model = dataclasses.replace(CONFIG, **changes).build()
  return model, hot.hot_params(jax.eval_shape(
      model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])


def both(objective, model, params, **chunks):
  """Returns metrics and gradient of the mean loss, plain and in chunks."""
  def value(params, chunk):
    found = dataclasses.replace(objective, chunk=chunk).build(model)(
        params, BATCH, rng=jax.random.key(3))
    return found['loss'].total / found['loss'].weight, found

  return [
      jax.jit(jax.grad(lambda p: value(p, chunk), has_aux=True))(params)
      for chunk in (None, *chunks.values())]


def close(got, want, tolerance=1e-6):
  """Each leaf of a tree within a share of its norm."""
  for (path, a), (_, b) in zip(trees.items(got), trees.items(want)):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    assert np.linalg.norm(a - b) <= tolerance * np.linalg.norm(b), path


@pytest.mark.slow
@pytest.mark.parametrize('changes, options', [
    ({}, {}), ({'embed': parts.Embed(dropout=0.3)}, BOTH),
    ({'head': parts.Head(tied=False, bias=True, softcap=3.0)}, BOTH),
], ids=['tied', 'dropout', 'untied'])
def test_loss_accuracy_and_gradients_are_those_of_all_logits(changes, options):
  model, params = model_and_params(**changes)
  # Rows of 9 tokens in pieces of 2, the last one filled up.
  (want_grads, want), (grads, got) = both(
      lm.Causal(**options), model, params, chunk=2 * len(BATCH['inputs']))
  assert set(got) == set(want) == {'loss', 'nll', 'accuracy'}
  for name in want:
    np.testing.assert_allclose(got[name].total, want[name].total, rtol=1e-6)
    assert got[name].weight == want[name].weight
  assert got['accuracy'].total == want['accuracy'].total
  close(grads, want_grads)


@pytest.mark.slow
def test_bfloat16_products_keep_a_float32_loss():
  untied = parts.Head(tied=False)
  model, params = model_and_params(dtype='bfloat16', head=untied)
  (want_grads, want), (grads, got) = both(
      lm.Causal(**BOTH), model, params, chunk=4)
  for name in want:
    assert got[name].total.dtype == jnp.float32
    np.testing.assert_allclose(got[name].total, want[name].total, rtol=1e-6)
  exact, _ = both(lm.Causal(**BOTH), *model_and_params(head=untied))[0]
  def error(tree):
    return np.sqrt(sum(np.sum(np.square(a - b)) for a, b in zip(
        jax.tree.leaves(tree), jax.tree.leaves(exact))))
  assert 0 < error(grads) < 1.2 * error(want_grads)


def test_gradients_are_those_of_float64_arithmetic():
  rng = np.random.default_rng(0)
  x, w = rng.normal(size=(2, 5, 7)), rng.normal(size=(7, VOCAB))
  bias = rng.normal(size=VOCAB)
  targets = rng.integers(0, VOCAB, (2, 5))
  weights = np.array([[1, 1, 0, 1, 0.5], [0, 1, 1, 1, 0]])
  logits = x @ w + bias
  log_z = np.log(np.exp(logits).sum(-1, keepdims=True))
  probs, hot_targets = np.exp(logits - log_z), np.eye(VOCAB)[targets]
  d_logits = weights[..., None] * (
      probs - 0.9 * hot_targets - 0.1 / VOCAB + 2 * 0.01 * log_z * probs)

  def loss(params, x):
    return chunked.token_means(
        lambda p, x: x @ p['w'] + p['bias'][None, None], params, x,
        jnp.asarray(targets), jnp.asarray(weights, jnp.float32), chunk=4,
        **BOTH)['loss'].total
  params = {'w': jnp.asarray(w, jnp.float32), 'idle': jnp.ones(3),
            'bias': jnp.asarray(bias, jnp.float32)}
  grads, x_grad = jax.jit(jax.grad(loss, argnums=(0, 1)))(
      params, jnp.asarray(x, jnp.float32))
  close({'x': x_grad, 'w': grads['w'], 'bias': grads['bias']}, {
      'x': d_logits @ w.T, 'w': np.einsum('btd,btv->dv', x, d_logits),
      'bias': d_logits.sum((0, 1))})
  assert not np.any(grads['idle'])


def test_a_target_of_weight_0_may_be_anything():
  model, params = model_and_params()
  weights, targets = BATCH['weights'].copy(), BATCH['targets'].copy()
  weights[0, 2], targets[0, 2] = 0, -100
  value = jax.jit(jax.value_and_grad(lambda p, batch: lm.causal(
      model, p, batch, chunk=4)['loss'].total))
  one, other = (value(params, BATCH | {'weights': weights} | changed)
                for changed in ({}, {'targets': targets}))
  assert np.isfinite(one[0])
  jax.tree.map(np.testing.assert_array_equal, one, other)
  assert np.isnan(value(params, BATCH | {'targets': targets})[0])


@pytest.mark.slow
def test_only_the_loss_has_a_gradient_and_others_are_nan():
  model, params = model_and_params()
  def grad_of(name, **options):
    return jax.jit(jax.grad(lambda p: lm.causal(
        model, p, BATCH, chunk=4, **options)[name].total))(params)
  wrong = grad_of('nll', **BOTH)['embed']['embedding']
  assert np.all(np.isnan(wrong))
  close(grad_of('nll'), grad_of('loss'), 0.0)


def arrays_of(function, *args):
  """Returns the shapes of all intermediate arrays of a program."""
  found = set()
  def visit(jaxpr):
    for equation in jaxpr.eqns:
      found.update(tuple(v.aval.shape) for v in equation.outvars)
      for inner in jax_core.jaxprs_in_params(equation.params):
        visit(inner)
  visit(jax.make_jaxpr(function)(*args).jaxpr)
  return found


@pytest.mark.parametrize('chunk', [None, 6])
def test_the_logits_of_a_batch_never_exist(chunk):
  model, params = model_and_params()
  rows, length = BATCH['inputs'].shape
  shapes = arrays_of(jax.grad(lambda p: lm.causal(
      model, p, BATCH, chunk=chunk, **BOTH)['loss'].total), params)
  largest = max(np.prod(s) // VOCAB for s in shapes
                if s and s[-1] == VOCAB and s[0] != WIDTH)
  assert largest == (rows * length if chunk is None else 6)


def test_the_compiled_program_takes_less_memory():
  head = lambda p, x: x @ p
  args = (jnp.zeros((16, 2000)), jnp.zeros((4, 64, 16)),
          jnp.zeros((4, 64), jnp.int32), jnp.ones((4, 64)))
  def bytes_of(function):
    compiled = jax.jit(jax.grad(function, argnums=(0, 1))).lower(
        *args).compile()
    return compiled.memory_analysis().temp_size_in_bytes
  at_once = bytes_of(lambda p, x, *rest: losses.token_means(
      head(p, x), *rest)['loss'].total)
  in_chunks = bytes_of(lambda p, x, *rest: chunked.token_means(
      head, p, x, *rest, chunk=32)['loss'].total)
  logits = 4 * 64 * 2000 * 4
  assert at_once >= logits > 2 * in_chunks


@pytest.mark.slow
def test_a_step_by_devices_and_by_microbatches_is_the_plain_one():
  model, params = model_and_params()
  optimizer = sgd.SGD(learning_rate=0.1).build(params, 3)
  batch = {k: np.concatenate([v] * 4) for k, v in BATCH.items()}
  def stepped(chunk, **options):
    return functools.partial(
        step.train_step, objective=lm.Causal(chunk=chunk).build(model),
        optimizer=optimizer, **options)
  state = step.init_state(params, optimizer, 0)
  want, _ = jax.jit(stepped(None))(state, batch)
  halves = jax.tree.map(lambda x: x.reshape(2, -1, *x.shape[1:]), batch)
  mapped, _ = jax.pmap(
      stepped(4, axis_name='data', microbatches=2), axis_name='data', in_axes=(None, 0),
      devices=jax.devices()[:2])(state, halves)
  close(jax.tree.map(lambda x: x[0], mapped.params), want.params)


@pytest.mark.slow
def test_a_recurrent_model_can_have_it():
  model = lstm.RecurrentConfig(
      vocab_size=VOCAB, width=8, num_layers=1,
      cell=recurrent.LSTMConfig(8)).build()
  params = hot.hot_params(jax.eval_shape(
      model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])
  (want, _), (grads, _) = both(lm.Causal(), model, params, chunk=4)
  close(grads, want)


def test_flags_set_it_and_nonsense_is_refused():
  assert overrides.override(
      lm.Causal(), {'chunk': '1024'}) == lm.Causal(chunk=1024)
  with pytest.raises(errors.InputError, match='chunk .*got 0'):
    lm.Causal(chunk=0)
