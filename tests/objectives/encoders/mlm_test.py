"""The masked objective by its formula, and pseudo-likelihood by a slow loop."""
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.models import decoder
from lmjax.models import encoder
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.objectives.encoders import mlm
from lmjax.testing import batches
from lmjax.testing import hot

VOCAB, MASK, EOS = 13, 12, 11
TOKENIZER = types.SimpleNamespace(
    vocab_size=VOCAB, control_ids=(EOS, MASK), special={'[MASK]': MASK}.get,
    word_starts=np.arange(VOCAB) % 2 == 0, word_ends=np.zeros(VOCAB, bool))


def model_of(dropout=0.0, **changes):
  return encoder.EncoderConfig(**dict(dict(
      vocab_size=VOCAB, context=16, width=16, num_layers=1,
      block=block.PostNorm(
          # A window, so that order must be told by positions.
          mixer=attention.AttentionConfig(2, window=4),
          mlp=layers.MLPConfig(16), dropout=dropout)), **changes)).build()


MODEL = model_of()
BATCH = batches.packed(batches.documents([6, 3, 4], VOCAB - 2), 10)


def params_of(model):
  return hot.hot_params(jax.eval_shape(
      model.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])


@pytest.fixture(scope='module')
def params():
  return params_of(MODEL)


@jax.jit
def log_probs(params, inputs, positions, segments):
  mask = masks.make(positions, segments, causal=False)
  logits, _ = MODEL.apply({'params': params}, inputs, mask)
  return jax.nn.log_softmax(logits)


@pytest.mark.slow
def test_loss_and_accuracy_by_their_formulas(params):
  objective = mlm.MaskedLM(rate=0.5)
  got = jax.jit(objective.build(MODEL, TOKENIZER))(params, BATCH)
  masked = jax.jit(objective.masker(TOKENIZER))(BATCH, None)
  chosen = np.asarray(masked.chosen_BT)
  log_p = np.asarray(log_probs(
      params, masked.inputs_BT, BATCH['positions'], BATCH['segments']))
  nll = -np.take_along_axis(log_p, BATCH['inputs'][..., None], -1)[..., 0]
  np.testing.assert_allclose(got['loss'].total, nll[chosen].sum(), rtol=1e-5)
  assert float(got['loss'].weight) == chosen.sum() > 4
  assert got['nll'].total == got['loss'].total
  assert float(got['accuracy'].total) == np.sum(
      log_p.argmax(-1)[chosen] == BATCH['inputs'][chosen])
  real = (BATCH['segments'] > 0).sum()
  assert float(got['masked'].value) == pytest.approx(chosen.sum() / real)


def test_the_model_does_not_see_what_it_guesses(params):
  # What is masked without exception may be anything: the logits stay.
  objective = mlm.MaskedLM(rate=0.5, masked=1.0, random=0.0)
  masked = jax.jit(objective.masker(TOKENIZER))(BATCH, jax.random.key(0))
  assert np.all(np.asarray(masked.inputs_BT)[masked.chosen_BT] == MASK)
  kept = np.asarray(masked.inputs_BT)[~masked.chosen_BT]
  np.testing.assert_array_equal(kept, BATCH['inputs'][~masked.chosen_BT])


@pytest.mark.slow
def test_masks_and_dropout_follow_the_key():
  noisy = model_of(dropout=0.5)
  params = params_of(noisy)
  run = jax.jit(mlm.MaskedLM(static=True).build(noisy, TOKENIZER))
  keys = jax.random.split(jax.random.key(0))
  losses = [float(run(params, BATCH, rng)['loss'].total)
            for rng in (None, None, *keys)]
  assert losses[0] == losses[1] and len(set(losses[1:])) == 3


def slow_pseudo(params, tokens):
  """Returns nll and correctness of all tokens but the first, one by one."""
  nll, correct = [], []
  for t in range(1, len(tokens)):
    inputs, places = np.zeros((2, 1, 8), np.int32)
    inputs[0, :len(tokens)] = tokens
    inputs[0, t] = MASK
    places[0] = np.arange(8)
    segments = (places < len(tokens)).astype(np.int32)
    log_p = np.asarray(log_probs(params, inputs, places, segments))[0, t]
    nll.append(-log_p[tokens[t]])
    correct.append(log_p.argmax() == tokens[t])
  return nll, correct


def joined(docs):
  """Returns a row as `Packed` lays it out: borders are targets of weight 0."""
  tokens = np.concatenate(docs)[None]
  lengths = [len(doc) for doc in docs]
  segments = np.repeat(np.arange(len(docs)) + 1, lengths)[None]
  positions = np.concatenate([np.arange(n) for n in lengths])[None]
  return {'inputs': tokens[:, :-1], 'targets': tokens[:, 1:],
          'positions': positions[:, :-1], 'segments': segments[:, :-1],
          'weights': (np.diff(segments) == 0).astype(np.float32)}


@pytest.mark.parametrize('layout', ['alone', 'packed', 'joined'])
def test_pseudo_likelihood_is_that_of_an_explicit_loop(params, layout):
  docs = batches.documents([6, 3, 4], VOCAB - 2, seed=1)
  docs[0][-1] = EOS  # Given, not guessed.
  batch = {'alone': batches.alone, 'packed': batches.packed,
           'joined': joined}[layout](docs)
  score = jax.jit(mlm.MaskedLM().scores(MODEL, TOKENIZER))
  nll, correct = score(params, batch)
  counted = batch['weights'] > 0
  want = [slow_pseudo(params, doc) for doc in docs]
  want_nll = np.concatenate([w[0] for w in want])
  want_correct = np.concatenate([w[1] for w in want])
  want_nll[5], want_correct[5] = 0.0, True  # EOS.
  np.testing.assert_allclose(
      np.asarray(nll)[counted], want_nll, atol=2e-5)
  np.testing.assert_array_equal(np.asarray(correct)[counted], want_correct)
  assert not np.any(np.asarray(nll)[~counted])


def test_only_places_with_a_weight_are_scored(params):
  batch = batches.alone(batches.documents([6], VOCAB - 2))
  score = jax.jit(mlm.MaskedLM().scores(MODEL, TOKENIZER))
  whole, _ = score(params, batch)
  weights = batch['weights'].copy()
  weights[0, :4] = 0  # Context alone: still seen, not scored.
  some, _ = score(params, batch | {'weights': weights})
  np.testing.assert_array_equal(some[0, :4], 0)
  np.testing.assert_allclose(some[0, 4:], whole[0, 4:], rtol=1e-6)


@pytest.mark.slow
def test_a_decoder_that_reads_both_ways_will_do():
  config = decoder.DecoderConfig(
      vocab_size=VOCAB, context=16, width=16, num_layers=1, causal=False,
      block=block.PreNorm(mixer=attention.AttentionConfig(2)))
  model = config.build()
  got = jax.jit(mlm.MaskedLM(rate=0.5).build(model, TOKENIZER))(
      params_of(model), BATCH)
  assert np.isfinite(got['loss'].value)


def test_unusable_models_and_contexts_are_refused(params):
  causal = decoder.DecoderConfig(vocab_size=VOCAB).build()
  for method in ('build', 'scores'):
    with pytest.raises(errors.InputError, match='model.causal=False'):
      getattr(mlm.MaskedLM(), method)(causal, TOKENIZER)
    with pytest.raises(errors.InputError, match='needs the head model.tokens'):
      getattr(mlm.MaskedLM(), method)(model_of(tokens=None), TOKENIZER)
    with pytest.raises(errors.InputError, match='needs the tokenizer'):
      getattr(mlm.MaskedLM(), method)(MODEL)
  long = batches.alone(batches.documents([16], VOCAB))
  with pytest.raises(errors.InputError, match='17 tokens.*scoring.context=15'):
    mlm.MaskedLM().scores(MODEL, TOKENIZER)(params, long)


@pytest.mark.parametrize('changes, message', [
    (dict(rate=0.0), 'MaskedLM.rate .* got 0.0'),
    (dict(masked=0.95), 'sum to 1 at most; got 0.95 and 0.1'),
    (dict(random=-0.1), 'random should be at least 0')])
def test_impossible_shares_are_refused(changes, message):
  with pytest.raises(errors.InputError, match=message):
    mlm.MaskedLM(**changes)
