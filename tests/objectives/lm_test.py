"""The causal objective: its formulas, its weights, its direction in time."""
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.nn import positions
from lmjax.objectives import OBJECTIVES
from lmjax.objectives import lm
from lmjax.testing import batches
from lmjax.testing import hot

VOCAB = 11


def model_of(dropout=0.0, **changes):
  return decoder.DecoderConfig(**dict(dict(
      vocab_size=VOCAB, context=16, width=16, num_layers=1,
      positions=positions.Learned(),
      block=block.PreNorm(
          mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(16),
          dropout=dropout)), **changes)).build()


MODEL = model_of()
BATCH = batches.packed(batches.documents([5, 3, 4], VOCAB), 9)


@pytest.fixture(scope='module')
def params():
  return hot.hot_params(jax.eval_shape(
      MODEL.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])


@pytest.fixture(scope='module')
def logits(params):
  mask = masks.make(BATCH['positions'], BATCH['segments'])
  return np.asarray(jax.jit(lambda p: MODEL.apply(
      {'params': p}, BATCH['inputs'], mask)[0])(params), np.float64)


def test_the_table_holds_the_objective():
  assert OBJECTIVES['Causal'] is lm.Causal


def test_all_numbers_by_their_formulas(params, logits):
  got = jax.jit(lm.Causal(label_smoothing=0.2, z_loss=0.01).build(MODEL))(
      params, BATCH)
  weights, targets = BATCH['weights'], BATCH['targets']
  log_normalizer = np.log(np.exp(logits).sum(-1))
  log_probs = logits - log_normalizer[..., None]
  nll = -np.take_along_axis(log_probs, targets[..., None], -1)[..., 0]
  loss = 0.8 * nll - 0.2 * log_probs.mean(-1) + 0.01 * log_normalizer ** 2
  correct = log_probs.argmax(-1) == targets
  for name, values in dict(loss=loss, nll=nll, accuracy=correct).items():
    np.testing.assert_allclose(
        got[name].total, (values * weights).sum(), rtol=1e-5)
    assert float(got[name].weight) == weights.sum() == 12


def test_token_scores_are_the_objectives_before_summing(params):
  (nll, correct), got = jax.jit(lambda p: (
      lm.token_scores(MODEL, p, BATCH), lm.causal(MODEL, p, BATCH)))(params)
  np.testing.assert_allclose(
      got['nll'].total, np.sum(nll * BATCH['weights']), rtol=1e-6)
  assert float(got['accuracy'].total) == np.sum(correct * BATCH['weights'])
  assert got['loss'].total == got['nll'].total


@pytest.mark.slow
def test_scores_by_slices_are_the_scores_at_once(params):
  x_BTD = jax.jit(lambda params: MODEL.apply(
      {'params': params}, BATCH['inputs'],
      masks.make(BATCH['positions'], BATCH['segments']), method='hidden')[0])(
          params)
  rows, length = BATCH['inputs'].shape
  weights = np.zeros((rows, length), np.float32)
  weights[0, 3] = weights[0, length - 1] = 1
  def by(largest):
    return jax.jit(lambda x: lm.scores_of(
        MODEL, params, x, BATCH['targets'], weights, largest))(x_BTD)
  nll, correct = by(10**6)
  nll_sliced, correct_sliced = by(2 * rows * VOCAB)  # Slices of two tokens.
  last = length - 1 if length % 2 else length - 2
  computed = [2, 3, *range(last, length)]
  np.testing.assert_allclose(
      nll_sliced[:, computed], nll[:, computed], rtol=1e-6)
  np.testing.assert_array_equal(
      correct_sliced[:, computed], correct[:, computed])
  skipped = [t for t in range(length) if t not in computed]
  assert not np.any(nll_sliced[:, skipped]) and np.all(nll[:, skipped])
  assert not np.any(correct_sliced[:, skipped])


def test_a_model_that_reads_both_ways_is_refused():
  for make in (lm.Causal().build, lm.Causal().scores):
    with pytest.raises(errors.InputError, match='needs a causal model'):
      make(model_of(causal=False))


def test_a_target_of_weight_0_may_be_anything(params):
  objective = jax.jit(jax.value_and_grad(
      lambda p, batch: lm.causal(MODEL, p, batch)['loss'].total))
  weights = BATCH['weights'].copy()
  weights[0, 2] = 0
  batch = BATCH | {'weights': weights}
  targets = BATCH['targets'].copy()
  targets[0, 2] = -100  # The "ignore" label of others: NaN if it counted.
  one, other = objective(params, batch), objective(
      params, batch | {'targets': targets})
  assert np.isfinite(other[0])
  jax.tree.map(np.testing.assert_array_equal, one, other)
  assert np.isnan(objective(params, BATCH | {'targets': targets})[0])


def test_each_loss_depends_on_its_past_alone(params):
  embedding = params['embed']['embedding']
  length = 6
  inputs = jnp.arange(length)[None]  # Every token its own row of the table.
  batch = dict(
      inputs=inputs, targets=inputs, positions=inputs,
      segments=jnp.ones_like(inputs))
  untied = model_of(head=parts.Head(tied=False))
  head = {'head': {'kernel': embedding.T}}

  @jax.jit
  @jax.vmap
  def gradient(place):
    def loss(table):
      weights = (jnp.arange(length) == place).astype(jnp.float32)[None]
      tree = params | {'embed': {'embedding': table}} | head
      return lm.causal(untied, tree, batch | {'weights': weights})['loss'].total
    return jax.grad(loss)(embedding)

  size = np.abs(gradient(jnp.arange(length))).max(-1)[:, :length]
  np.testing.assert_array_equal(size > 0, np.tri(length, dtype=bool))


def test_dropout_follows_the_key_and_is_off_without():
  noisy = model_of(dropout=0.5)
  params = hot.hot_params(jax.eval_shape(
      noisy.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])
  objective = lm.Causal().build(noisy)
  train = jax.jit(lambda key: objective(params, BATCH, rng=key)['loss'].total)
  keys = jax.random.split(jax.random.key(0))
  off = float(jax.jit(objective)(params, BATCH)['loss'].total)
  assert train(keys[0]) == train(keys[0]) != train(keys[1])
  assert off not in (float(train(keys[0])), float(train(keys[1])))


@pytest.mark.slow
def test_learns_the_next_token_and_not_the_one_after():
  # Pairs (a, a + 1): after the first of a pair the next token is certain, and
  # the one after it is random. Only the certain ones count.
  optimizer = optax.adam(1e-2)
  objective = lm.Causal().build(MODEL)
  params = MODEL.init(jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params']
  state = optimizer.init(params)

  @jax.jit
  def step(params, state, key):
    first = jax.random.randint(key, (32, 8), 0, VOCAB)
    ids = jnp.stack([first, (first + 1) % VOCAB], -1).reshape(32, 16)
    shape = (32, 15)
    batch = dict(
        inputs=ids[:, :-1], targets=ids[:, 1:], segments=jnp.ones(shape, int),
        positions=jnp.broadcast_to(jnp.arange(15)[None], shape),
        weights=jnp.broadcast_to(
            (jnp.arange(15) % 2 == 0).astype(jnp.float32)[None], shape))
    def loss(params):
      mean = objective(params, batch)['loss']
      return mean.total / mean.weight
    value, grads = jax.value_and_grad(loss)(params)
    updates, state = optimizer.update(grads, state)
    return optax.apply_updates(params, updates), state, value

  for i in range(150):
    params, state, value = step(params, state, jax.random.key(i))
  assert float(value) < 0.01  # Chance is log(11) = 2.4.


def test_impossible_smoothing_is_refused():
  with pytest.raises(errors.InputError, match='label_smoothing .* got 1.0'):
    lm.Causal(label_smoothing=1.0)


def test_a_batch_without_an_array_is_refused_with_its_name():
  batch = {'inputs': jnp.zeros((1, 2), int), 'targets': jnp.zeros((1, 2), int)}
  with pytest.raises(errors.InputError, match=(
      'lacks weights, positions, segments; it has')):
    lm.causal(decoder.DecoderConfig(vocab_size=5).build(), {}, batch)
