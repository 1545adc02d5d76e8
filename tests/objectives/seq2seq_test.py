"""Sequence to sequence: its formula, and the likelihood of plain windows."""
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.models.presets import encoder_decoders as presets
from lmjax.nn import masks
from lmjax.objectives import seq2seq
from lmjax.testing import batches
from lmjax.testing import hot

VOCAB = 13
MODEL = presets.t5(16, 1, 2, 16, vocab_size=VOCAB, context=16, head_size=8
                   ).build()
SENTINELS = types.SimpleNamespace(
    sentinel_ids=(11, 12), bos_id=None, start_id=None)
DOCS = batches.documents([5, 3, 4, 1], 11)
WINDOW = batches.packed(DOCS, 9)


@pytest.fixture(scope='module')
def params():
  return hot.hot_params(jax.eval_shape(
      MODEL.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])


def pairs():
  source = batches.packed(batches.documents([4, 2, 3, 3], VOCAB, seed=2), 8)
  return WINDOW | {f'encoder_{name}': source[name] for name in (
      'inputs', 'positions', 'segments')}


@pytest.mark.slow
def test_all_numbers_by_their_formulas(params):
  batch = pairs()
  got = jax.jit(seq2seq.Seq2Seq(0.2, 0.01).build(MODEL))(params, batch)
  logits = np.asarray(jax.jit(lambda: MODEL.apply(
      {'params': params}, batch['inputs'],
      masks.make(batch['positions'], batch['segments']),
      encoder_inputs_BS=batch['encoder_inputs'], encoder_mask=masks.make(
          batch['encoder_positions'], batch['encoder_segments'],
          causal=False))[0])(), np.float64)
  log_normalizer = np.log(np.exp(logits).sum(-1))
  log_probs = logits - log_normalizer[..., None]
  nll = -np.take_along_axis(log_probs, batch['targets'][..., None], -1)[..., 0]
  loss = 0.8 * nll - 0.2 * log_probs.mean(-1) + 0.01 * log_normalizer ** 2
  correct = log_probs.argmax(-1) == batch['targets']
  for name, values in dict(loss=loss, nll=nll, accuracy=correct).items():
    np.testing.assert_allclose(
        got[name].total, (values * batch['weights']).sum(), rtol=1e-5)
    assert float(got[name].weight) == batch['weights'].sum() == 13


@pytest.mark.slow
def test_dropout_follows_the_key(params):
  noisy = presets.t5(16, 1, 2, 16, vocab_size=VOCAB, head_size=8, dropout=0.5)
  train = jax.jit(lambda key: seq2seq.Seq2Seq().build(noisy.build())(
      params, pairs(), key)['loss'].total)
  keys = jax.random.split(jax.random.key(0))
  assert train(keys[0]) == train(keys[0]) != train(keys[1])


def weighted(unscored):
  """Returns the window with so many unscored targets in each document."""
  weights = WINDOW['weights'] * (WINDOW['positions'] >= unscored)
  return WINDOW | {'weights': weights.astype(np.float32)}


@pytest.mark.parametrize('unscored', [0, 2])
@pytest.mark.parametrize('sentinel', [11, None])
def test_division_by_a_plain_loop(unscored, sentinel):
  batch = weighted(unscored)
  got = jax.device_get(seq2seq.divided(batch, sentinel, 7))
  for row in range(len(batch['inputs'])):
    for segment in range(1, int(batch['segments'][row].max()) + 1):
      slots = np.flatnonzero(batch['segments'][row] == segment)
      inputs = batch['inputs'][row, slots].tolist()
      here = got['encoder_segments'][row] == segment
      read = got['encoder_inputs'][row, here].tolist()
      assert got['encoder_positions'][row, here].tolist() == list(
          range(len(read)))
      here = got['segments'][row] == segment
      written = got['inputs'][row, here].tolist()
      if len(slots) <= unscored:  # Nothing to score: all is read.
        assert read == inputs and not written
        continue
      mark = [] if sentinel is None else [sentinel]
      assert read == inputs[:unscored + 1] + mark
      assert written == [7] + inputs[unscored + 1:]
      assert got['positions'][row, here].tolist() == list(range(len(written)))
      assert slots[unscored:].tolist() == np.flatnonzero(here).tolist()


def test_a_scored_token_depends_on_all_before_it_and_on_nothing_after(params):
  score = jax.jit(seq2seq.Seq2Seq().scores(MODEL, SENTINELS))
  ids = np.arange(8, dtype=np.int32)
  def nll(ids, unscored=3):
    batch = batches.alone([ids])
    batch['weights'][:, :unscored] = 0
    return np.asarray(score(params, batch)[0])[0, unscored:]
  want = nll(ids)
  for changed in range(7):
    other = ids.copy()
    other[changed] = 10
    differs = np.abs(nll(other) - want) > 1e-6
    # The target t is ids[t + 4]; it depends on itself and on all before it.
    assert differs.tolist() == [changed <= t + 4 for t in range(4)]


@pytest.mark.slow
def test_scores_are_the_objective_of_the_divided_batch(params):
  """The product over a window is what the decoder would be trained on."""
  batch = weighted(2)
  score = jax.jit(seq2seq.Seq2Seq().scores(MODEL, SENTINELS))
  nll, correct = score(params, batch)
  parts = seq2seq.divided(batch, 11, 11)
  want = jax.jit(seq2seq.Seq2Seq().build(MODEL))(params, batch | parts)
  np.testing.assert_allclose(
      np.sum(nll * batch['weights']), want['nll'].total, rtol=1e-5)
  assert np.sum(correct * batch['weights']) == want['accuracy'].total


@pytest.mark.slow
def test_packed_windows_score_as_if_alone(params):
  score = jax.jit(seq2seq.Seq2Seq().scores(MODEL, SENTINELS))
  totals = [np.sum(score(params, batch)[0] * batch['weights'])
            for batch in (WINDOW, batches.alone(DOCS, 9))]
  np.testing.assert_allclose(*totals, rtol=1e-5)


def test_the_decoder_starts_from_its_own_id_a_sentinel_bos_or_eos():
  named = lambda **ids: types.SimpleNamespace(
      **dict(sentinel_ids=(), bos_id=None, eos_id=None, start_id=None) | ids)
  assert seq2seq.first_ids(SENTINELS) == (11, 11)
  assert seq2seq.first_ids(named(
      sentinel_ids=(11,), start_id=0, eos_id=4)) == (4, 0)
  assert seq2seq.first_ids(named(bos_id=3, eos_id=4)) == (None, 3)
  assert seq2seq.first_ids(named(eos_id=4)) == (None, 4)
  for nothing in (None, named()):
    with pytest.raises(errors.InputError, match='data.sentinels=100'):
      seq2seq.first_ids(nothing)


def test_unusable_models_and_batches_are_refused(params):
  plain = decoder.DecoderConfig(vocab_size=VOCAB).build()
  for build in (seq2seq.Seq2Seq().build, seq2seq.Seq2Seq().scores):
    with pytest.raises(errors.InputError, match='Decoder is not: .*Encoder'):
      build(plain, SENTINELS)
  with pytest.raises(errors.InputError, match='plain rows lack: .*SpanCorr'):
    seq2seq.Seq2Seq().build(MODEL)(params, WINDOW)
  with pytest.raises(errors.InputError, match='label_smoothing .* got 1.0'):
    seq2seq.Seq2Seq(label_smoothing=1.0)
