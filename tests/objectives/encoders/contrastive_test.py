"""SimCSE against plain loops, and one device against eight."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.models import encoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.objectives.encoders import contrastive
from lmjax.testing import equivalence
from lmjax.testing import hot
from lmjax.training import step as step_lib

VOCAB, ROWS, LENGTH = 23, 16, 6


def config_of(dropout=0.0):
  return encoder.EncoderConfig(
      vocab_size=VOCAB, context=16, width=16, num_layers=1, tokens=None,
      embed=parts.TypedEmbed(types=0), pooler=encoder.Pooler(pairs=False),
      block=block.PostNorm(
          mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(16),
          dropout=dropout))


MODEL = config_of().build()


def texts(seed, prefix='', empty=()):
  rng = np.random.default_rng(seed)
  places = np.broadcast_to(np.arange(LENGTH), (ROWS, LENGTH))
  lengths = rng.integers(1, LENGTH + 1, (ROWS, 1))
  lengths[list(empty)] = 0
  real = places < lengths
  return {f'{prefix}inputs': (rng.integers(0, VOCAB, real.shape) * real).astype(
              np.int32),
          f'{prefix}positions': places * real,
          f'{prefix}segments': real.astype(np.int32)}


SUPERVISED = (texts(0, empty=(3, 9)) | texts(1, 'positive_')
              | texts(2, 'negative_'))


@pytest.fixture(scope='module')
def params():
  return hot.hot_params(jax.eval_shape(
      MODEL.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])


def test_a_model_without_types_reads_pairs_too():
  batch = texts(0)
  model = decoder.DecoderConfig(
      vocab_size=VOCAB, context=16, width=16, num_layers=1).build()
  shapes = jax.eval_shape(model.init, jax.random.key(0), batch['inputs'])
  found = jax.eval_shape(
      lambda p, b: contrastive.embed(model, p, b), shapes['params'],
      batch | {'types': batch['segments']})
  assert found.shape == (ROWS, 16)


@jax.jit
def hidden(params, inputs):
  return MODEL.apply({'params': params}, inputs, method='hidden')[0]


@jax.jit
def pooled(params, x_D):  # The first place is all that is pooled.
  return MODEL.apply({'params': params}, x_D[None, None], method='pooled')[0]


def vectors(params, batch, prefix, pooling):
  """Returns a vector of norm 1 a row, each text read alone and unpadded."""
  out = []
  for inputs, segments in zip(
      batch[f'{prefix}inputs'], batch[f'{prefix}segments']):
    count = segments.sum()
    x = np.asarray(hidden(params, inputs[None, :max(count, 1)]))[0]
    x = {'mean': x.mean(0), 'first': x[0],
         'pooler': np.asarray(pooled(params, x[0]))}[pooling]
    out.append(x / np.linalg.norm(x))
  return np.array(out, np.float64)


@pytest.mark.parametrize('pooling', ['mean', 'first', 'pooler'])
def test_supervised_loss_is_that_of_a_loop(params, pooling):
  objective = contrastive.SimCSE(temperature=0.3, pooling=pooling)
  got = jax.jit(objective.build(MODEL))(params, SUPERVISED)
  h, like, unlike = (vectors(params, SUPERVISED, prefix, pooling)
                     for prefix in ('', 'positive_', 'negative_'))
  rows = [i for i in range(ROWS) if SUPERVISED['segments'][i].any()]
  losses, hits = [], []
  for i in rows:
    near = [np.exp(h[i] @ like[j] / 0.3) for j in rows]
    hard = [np.exp(h[i] @ unlike[j] / 0.3) for j in rows]
    own = np.exp(h[i] @ like[i] / 0.3)
    losses.append(-np.log(own / (sum(near) + sum(hard))))
    hits.append(own == max(near + hard))
  assert len(rows) == ROWS - 2 == got['loss'].weight
  np.testing.assert_allclose(got['loss'].value, np.mean(losses), rtol=2e-5)
  assert got['accuracy'].value == pytest.approx(np.mean(hits))
  np.testing.assert_allclose(
      got['alignment'].value,
      np.mean([np.sum((h[i] - like[i])**2) for i in rows]), rtol=1e-4)
  pairs = [np.exp(-2 * np.sum((h[i] - h[j])**2))
           for i in rows for j in rows if i != j]
  np.testing.assert_allclose(
      got['uniformity'].value, np.log(np.mean(pairs)), rtol=1e-4)


@pytest.mark.slow
def test_unsupervised_reads_each_text_twice_under_other_dropout(params):
  batch = texts(0)
  noisy = contrastive.SimCSE().build(config_of(dropout=0.3).build())
  run = jax.jit(noisy)
  keys = jax.random.split(jax.random.key(0))
  first, second = (run(params, batch, key) for key in keys)
  assert first['alignment'].value > 0.01
  assert first['loss'].total != second['loss'].total
  off = run(params, batch)
  assert off['alignment'].value < 1e-9
  assert off['loss'].total == run(params, batch)['loss'].total


@pytest.mark.slow
def test_eight_devices_share_negatives_and_gradients(params):
  objective = contrastive.SimCSE(temperature=0.3, axis='devices').build(MODEL)
  optimizer = optax.sgd(1.0)  # The update is the gradient.
  def step(params, batch, axis_name):
    state = step_lib.init_state(params, optimizer, 0)
    state, means = step_lib.train_step(
        state, batch, objective=objective, optimizer=optimizer,
        axis_name=axis_name)
    return jax.tree.map(jnp.subtract, params, state.params), means
  batch = {k: v for k, v in SUPERVISED.items() if 'types' not in k}
  equivalence.devices_equal_one(step, params, batch)


@pytest.mark.slow
def test_a_microbatch_has_the_rows_of_all_devices(params):
  objective = contrastive.SimCSE(temperature=0.3).build(MODEL)
  optimizer = optax.sgd(1.0)
  def update(batch, microbatches, axis_name=None):
    state, means = step_lib.train_step(
        step_lib.init_state(params, optimizer, 0), batch, objective=objective,
        optimizer=optimizer, axis_name=axis_name, microbatches=microbatches)
    return jax.tree.map(jnp.subtract, params, state.params), means
  devices = {k: np.reshape(v, (2, 8, LENGTH)) for k, v in SUPERVISED.items()}
  got = jax.tree.map(lambda x: x[0], jax.pmap(
      lambda batch: update(batch, 2, 'data'), axis_name='data',
      devices=jax.devices()[:2])(devices))
  # The first four rows of each device in one part, the others in the other.
  together = {k: np.concatenate([v[:, :4], v[:, 4:]]).reshape(ROWS, LENGTH)
              for k, v in devices.items()}
  want = jax.jit(update, static_argnums=1)(together, 2)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a, b, rtol=1e-4, atol=1e-5), got, want)


def test_without_an_axis_devices_stay_apart(params):
  apart = contrastive.SimCSE(axis=None).build(MODEL)
  batch = {k: np.reshape(v, (8, 2, LENGTH)) for k, v in SUPERVISED.items()}
  got = jax.pmap(apart, axis_name='data', in_axes=(None, 0))(params, batch)
  want = jax.jit(apart)(params, {k: v[2] for k, v in batch.items()})
  np.testing.assert_allclose(
      got['loss'].total[2], want['loss'].total, rtol=1e-5)


def test_uniformity_of_known_points():
  line = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
  rows = jnp.array([True, True, False])
  uniformity = jax.jit(contrastive.uniformity)
  assert uniformity(line, rows) == pytest.approx(-8.0)
  assert uniformity(line[:1], rows[:1]) == 0.0


def test_a_causal_model_has_vectors_too():
  model = decoder.DecoderConfig(
      vocab_size=VOCAB, context=16, width=16, num_layers=1,
      block=block.PreNorm(mixer=attention.AttentionConfig(2))).build()
  params = hot.hot_params(jax.eval_shape(
      model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])
  batch = texts(0)
  embed = jax.jit(lambda batch: contrastive.embed(
      model, params, batch, 'first'))
  x_BD = np.asarray(embed(batch))
  longer = batch | {'inputs': np.where(
      np.arange(LENGTH) > 0, 1, batch['inputs'])}
  np.testing.assert_allclose(embed(longer), x_BD, atol=1e-6)


def test_a_missing_pooler_and_wrong_settings_are_refused():
  plain = dataclasses.replace(config_of(), pooler=None).build()
  with pytest.raises(errors.InputError, match='model.pooler.kind=Pooler'):
    contrastive.SimCSE(pooling='pooler').build(plain)
  with pytest.raises(errors.InputError, match="'cls'; choose from"):
    contrastive.SimCSE(pooling='cls')
  with pytest.raises(errors.InputError, match='temperature .* got 0'):
    contrastive.SimCSE(temperature=0)
