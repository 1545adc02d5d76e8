"""The state goes from batch to batch, and gradients stay within one."""
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from lmjax.checkpoints import store as store_lib
from lmjax.core import errors
from lmjax.data import continuous
from lmjax.data import pipeline
from lmjax.data import token_store
from lmjax.models import decoder
from lmjax.models import lstm
from lmjax.nn import masks
from lmjax.nn import recurrent
from lmjax.objectives import lm
from lmjax.objectives import truncated
from lmjax.testing import hot
from lmjax.training import loop
from lmjax.training import step

VOCAB, STREAMS, LENGTH = 11, 3, 4
CONFIG = lstm.RecurrentConfig(
    vocab_size=VOCAB, width=5, num_layers=1, cell=recurrent.LSTMConfig(6))
MODEL = CONFIG.build()
PARAMS = hot.hot_params(jax.eval_shape(
    lambda: decoder.initial_params(MODEL, 0)), std=0.4)
TRUNCATED = truncated.TruncatedBPTT()


def stream(lengths=(31, 19)):
  offsets = np.cumsum([0, *lengths])
  tokens = np.random.default_rng(0).integers(0, VOCAB, offsets[-1])
  store = token_store.TokenStore(
      tokens.astype(np.uint16), offsets, None, {'digest': ''})
  rows = continuous.Continuous(STREAMS).build(store, LENGTH, 0)
  return pipeline.Batches(rows, STREAMS, LENGTH, VOCAB, {})


@jax.jit
def causal(batch):
  return lm.causal(MODEL, PARAMS, batch)['nll']


BATCHES = stream()
STEPS = int(BATCHES.steps_per_epoch)


@pytest.mark.slow
def test_an_epoch_in_pieces_scores_as_one_long_row_of_each_stream():
  objective = jax.jit(TRUNCATED.build(MODEL))
  carry, totals = TRUNCATED.carry(MODEL, STREAMS), []
  for s in [*range(STEPS), 0]:  # Once more: an epoch forgets the one before.
    found, carry = objective(PARAMS, BATCHES(s), carry=carry)
    totals.append(float(found['nll'].total))
  whole = {key: np.concatenate([BATCHES(s)[key] for s in range(STEPS)], 1)
           for key in BATCHES(0)}
  want = causal(whole)
  assert sum(totals[:-1]) == pytest.approx(float(want.total), rel=1e-5)
  assert totals[-1] == pytest.approx(totals[0], rel=1e-6)
  alone = objective(PARAMS, BATCHES(1))  # Without what came before.
  assert float(alone['nll'].total) != pytest.approx(totals[1], rel=1e-3)


@pytest.mark.slow
def test_a_step_differentiates_the_batch_and_not_what_was_carried():
  objective, batch = jax.jit(TRUNCATED.build(MODEL)), BATCHES(1)
  carry = hot.hot_params(TRUNCATED.carry(MODEL, STREAMS), std=0.5)
  state = step.init_state(PARAMS, optax.sgd(1.0), 0, carry=carry)
  after, row = jax.jit(functools.partial(
      step.train_step, objective=objective, optimizer=optax.sgd(1.0)))(
          state, batch)

  def mean(params):
    found, _ = objective(params, batch, carry=carry)
    return found['loss'].total / found['loss'].weight
  want = jax.tree.map(lambda p, g: p - g, PARAMS, jax.jit(jax.grad(mean))(
      PARAMS))
  jax.tree.map(functools.partial(
      np.testing.assert_allclose, rtol=1e-5, atol=1e-6), after.params, want)
  _, carried = objective(PARAMS, batch, carry=carry)
  jax.tree.map(functools.partial(np.testing.assert_allclose, atol=1e-6),
               after.carry, carried)
  assert row['tokens'].value == batch['weights'].sum()


@pytest.mark.slow
def test_an_interrupted_run_equals_an_uninterrupted_one(tmp_path):
  def fit(steps, **kwargs):
    state = kwargs.pop('state', None) or step.init_state(
        PARAMS, optax.sgd(0.5), 0, carry=TRUNCATED.carry(MODEL, STREAMS))
    return loop.fit(state, BATCHES, objective=TRUNCATED.build(MODEL),
                    optimizer=optax.sgd(0.5), steps=steps, **kwargs).state

  whole = fit(STEPS + 2)
  with store_lib.Checkpoints(tmp_path) as saved:
    fit(STEPS - 2, checkpoints=saved)
    fresh = step.init_state(
        PARAMS, optax.sgd(0.5), 0, carry=TRUNCATED.carry(MODEL, STREAMS))
    found, _ = saved.resume(fresh)
  assert any(np.any(part != 0) for part in jax.tree.leaves(found.carry))
  resumed = fit(STEPS + 2, state=found)
  for got, want in zip(*map(jax.tree.leaves, (
      (resumed.params, resumed.carry), (whole.params, whole.carry)))):
    assert np.asarray(got).tobytes() == np.asarray(want).tobytes()


def test_regularisers_are_the_equations():
  batch = BATCHES(1) | {'positions': np.array(
      [[4, 5, 6, 7], [4, 5, 0, 1], [4, 5, 6, 7]], np.int32)}
  objective = jax.jit(truncated.TruncatedBPTT(2.0, 3.0).build(MODEL))
  found = objective(PARAMS, batch)
  mask = masks.make(batch['positions'], batch['segments'])
  raw, _, _ = jax.jit(functools.partial(MODEL.apply, method='outputs'))(
      {'params': PARAMS}, batch['inputs'], mask)
  raw = np.asarray(raw)
  weights, expected = batch['weights'], 0.0
  for b in range(STREAMS):
    for t in range(LENGTH):
      expected += 2.0 * weights[b, t] * np.mean(raw[b, t] ** 2)
      if t and batch['positions'][b, t]:
        change = raw[b, t] - raw[b, t - 1]
        expected += 3.0 * weights[b, t] * np.mean(change**2)
  got = float(found['loss'].total - found['nll'].total)
  assert got == pytest.approx(float(expected), rel=1e-4)


@pytest.mark.slow
def test_dropout_is_on_in_training_alone():
  model = lstm.RecurrentConfig(
      vocab_size=VOCAB, width=5, num_layers=1, cell=recurrent.LSTMConfig(6),
      dropout=lstm.Dropout(output=0.5)).build()
  objective = jax.jit(truncated.TruncatedBPTT().build(model))
  plain = objective(PARAMS, BATCHES(0))
  assert float(plain['nll'].total) == pytest.approx(
      float(causal(BATCHES(0)).total), rel=1e-6)
  noisy = objective(PARAMS, BATCHES(0), rng=jax.random.key(0))
  assert float(noisy['nll'].total) != float(plain['nll'].total)


def test_scores_are_the_likelihood():
  nll_BT, _ = jax.jit(TRUNCATED.scores(MODEL))(PARAMS, BATCHES(0))
  want = causal(BATCHES(0))
  assert float(jnp.sum(nll_BT * BATCHES(0)['weights'])) == pytest.approx(
      float(want.total), rel=1e-5)


@pytest.mark.parametrize('divided', [
    {'microbatches': 3}, {'axis_name': 'data'}], ids=str)
def test_a_carried_batch_is_not_divided(divided):
  state = step.init_state(
      PARAMS, optax.sgd(1.0), 0, carry=TRUNCATED.carry(MODEL, STREAMS))
  update = functools.partial(
      step.train_step, objective=TRUNCATED.build(MODEL),
      optimizer=optax.sgd(1.0), **divided)
  with pytest.raises(errors.InputError, match='parallel=jit and train'):
    if 'axis_name' in divided:
      jax.vmap(update, axis_name='data', in_axes=(None, 0))(
          state, jax.tree.map(lambda x: x[None], BATCHES(0)))
    else:
      update(state, BATCHES(0))


def test_a_model_without_a_state_is_refused():
  with pytest.raises(errors.InputError, match='Decoder has none.*Causal'):
    TRUNCATED.build(decoder.DecoderConfig(vocab_size=VOCAB).build())
  with pytest.raises(errors.InputError, match='temporal_reg should be'):
    truncated.TruncatedBPTT(temporal_reg=-1.0)
