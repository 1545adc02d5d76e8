"""Documents scored by filling in spans: by plain loops, and in any batches."""
import collections
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data.corruption import denoisers
from lmjax.data.corruption import noising
from lmjax.data.corruption import pieces
from lmjax.data.corruption import spans
from lmjax.evaluation import infilling
from lmjax.evaluation import likelihood
from lmjax.models import decoder
from lmjax.models.presets import encoder_decoders as presets
from lmjax.nn import masks
from lmjax.objectives import prefix
from lmjax.objectives import seq2seq
from lmjax.testing import batches
from lmjax.testing import hot

VOCAB, CONTEXT = 40, 12
SPECIALS = {'[MASK]': 30, '[R]': 31, '[S]': 32, '[X]': 33}
SENTINELS = tuple(range(20, 30))
TOKENIZER = types.SimpleNamespace(
    sentinel_ids=SENTINELS, special=SPECIALS.get, bos_id=18, eos_id=19,
    start_id=None,
    vocab_size=VOCAB, token_bytes=lambda i: b'a')
DOCUMENTS = [np.concatenate([[18], ids, [19]]) for ids in batches.documents(
    [1, 3, 11, 12, 40, 8, 23], 18)]
CORRUPTIONS = {
    'spans': spans.SpanCorruption(0.3, 2.0), 'bart': noising.Bart(),
    'ul2': denoisers.UL2(modes=('R', 'S', 'X'), rates=(0.3, 0.25, 0.5),
                         mean_lengths=(2.0, 0.0, 3.0), shares=(1.0,) * 3)}
T5 = presets.t5(16, 1, 2, 16, vocab_size=VOCAB, context=16, head_size=8).build()
DECODER = decoder.DecoderConfig(
    vocab_size=VOCAB, context=24, width=16, num_layers=2).build()


def params_of(model):
  return hot.hot_params(jax.eval_shape(
      lambda: decoder.initial_params(model, 0)), std=0.3)


def evaluated(objective, model, params, corruption, documents, batch_size=3):
  score = likelihood.of_params(objective.row_scores(model), params)
  return likelihood.evaluate(
      likelihood.WithFields.of(score, objective.row_fields), documents,
      vocab_size=VOCAB, bos_id=18, lay=infilling.Passes(
          corruption, TOKENIZER, CONTEXT, batch_size))


def log_p(logits):
  """Returns float64 log-probabilities of logits of the last axis."""
  logits = np.asarray(logits, np.float64)
  return logits - np.log(np.exp(logits).sum(-1, keepdims=True))


def by_loops(corruption, next_token, documents):
  """Returns the nats of documents, one window and one pass after the other.

  Args:
    corruption: The corruption.
    next_token: Function of the source and of the given part of a target, which
      returns the log-probabilities of the next id.
    documents: The documents.
  """
  nats, number = 0.0, 0
  for document in documents:
    for start in range(0, len(document) - 1, CONTEXT - 1):
      window = document[start:start + CONTEXT]
      texts = pieces.Texts(
          window, np.array([len(window)]), np.array([0]), np.array([1]))
      draws = pieces.Draws(0, 0, [number], CONTEXT + 1)
      left = collections.Counter(range(1, len(window)))
      for each in corruption.cover(TOKENIZER, CONTEXT)(texts, draws):
        target = each.target.tokens.tolist()
        for i, place in enumerate(each.places.tolist()):
          if place >= 0:
            assert target[i] == window[place]
            left[place] -= 1
            nats -= next_token(each.source.tokens, target[:i])[target[i]]
      assert not +left and not -left
      number += 1
  return nats


@pytest.fixture(scope='module')
def t5():
  params = params_of(T5)

  @jax.jit
  def logits(source, given, sizes):
    positions = jnp.arange(16)[None]
    within = [(positions < size).astype(jnp.int32) for size in sizes]
    return T5.apply(
        {'params': params}, given[None], masks.make(positions, within[1]),
        encoder_inputs_BS=source[None], encoder_mask=masks.make(
            positions, within[0], causal=False))[0]

  def next_token(source, given):
    fit = lambda ids: np.pad(np.array(ids, np.int32), (0, 16 - len(ids)))
    return log_p(logits(fit(source), fit(given), (
        len(source), len(given))))[0, len(given) - 1]
  return params, next_token


@pytest.mark.parametrize('name', CORRUPTIONS)
def test_an_encoder_decoder_is_scored_as_by_plain_loops(t5, name):
  params, next_token = t5
  found = evaluated(
      seq2seq.Seq2Seq(), T5, params, CORRUPTIONS[name], DOCUMENTS)
  assert found.tokens == sum(len(document) - 1 for document in DOCUMENTS)
  assert found.nats == pytest.approx(
      by_loops(CORRUPTIONS[name], next_token, DOCUMENTS), rel=2e-5)
  assert (found.context, found.stride) == (CONTEXT, None)


@pytest.mark.slow
def test_a_decoder_alone_is_scored_as_by_plain_loops():
  corruption = spans.SpanCorruption(0.3, 2.0, joined=True)
  params, size = params_of(DECODER), 24

  @jax.jit
  def logits(ids, read):
    positions = jnp.arange(size)[None]
    return DECODER.apply({'params': params}, ids[None], masks.prefix(
        positions, jnp.ones((1, size), jnp.int32), positions < read))[0]

  def next_token(source, given):
    ids = np.array([*source, *given], np.int32)
    return log_p(logits(np.pad(ids, (0, size - len(ids))), len(source)))[
        0, len(ids) - 1]
  found = evaluated(prefix.PrefixLM(), DECODER, params, corruption, DOCUMENTS)
  assert found.nats == pytest.approx(
      by_loops(corruption, next_token, DOCUMENTS), rel=2e-5)


@pytest.mark.parametrize('name', CORRUPTIONS)
def test_every_token_is_a_target_once_in_batches_of_any_size(name):
  def rows(batch_size):
    found = {}
    for batch in infilling.Passes(
        CORRUPTIONS[name], TOKENIZER, CONTEXT, batch_size)(DOCUMENTS):
      assert len(batch['inputs']) == batch_size
      for row, column in zip(*np.nonzero(batch['weights'])):
        place = batch['documents'][row, column], batch['places'][row, column]
        assert place not in found
        assert batch['targets'][row, column] == DOCUMENTS[place[0]][place[1]]
        found[place] = {key: value[row].tolist()
                        for key, value in batch.items()}
    return found
  one, many = rows(1), rows(7)
  assert one == many
  assert one.keys() == {(number, place) for number, document in enumerate(
      DOCUMENTS) for place in range(1, len(document))}


def test_windows_are_cut_in_the_same_way_whatever_the_pool(monkeypatch):
  lay = infilling.Passes(CORRUPTIONS['spans'], TOKENIZER, CONTEXT, 1)
  targets = lambda: sorted(
      batch['targets'][batch['weights'] > 0].tolist() for batch in lay(DOCUMENTS))
  whole = targets()
  monkeypatch.setattr(infilling, '_POOL_TOKENS', 1)
  assert targets() == whole


def test_a_window_of_one_token_is_refused():
  with pytest.raises(errors.InputError, match='scoring.context should be at'):
    infilling.Passes(CORRUPTIONS['spans'], TOKENIZER, 1)
