"""The evaluator against an oracle that predicts one token at a time."""
import dataclasses
import functools
import math

import jax
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.data import facts
from lmjax.evaluation import baselines
from lmjax.evaluation import likelihood
from lmjax.models import decoder
from lmjax.objectives import lm

_VOCAB = 23
_BOS = 1


def toy(batch):
  """A little language model: decayed causal means, kept inside segments."""
  rng = np.random.default_rng(5)
  embed_VD = rng.normal(size=(_VOCAB, 8))
  place_TD = rng.normal(size=(64, 8))
  head_DV = rng.normal(size=(8, _VOCAB))
  positions_BT, segments_BT = batch['positions'], batch['segments']
  age_BTS = positions_BT[:, :, None] - positions_BT[:, None, :]
  mask_BTS = (segments_BT[:, :, None] == segments_BT[:, None, :]) & (
      np.tri(positions_BT.shape[1], dtype=bool)[None])
  weight_BTS = np.where(mask_BTS, 0.9 ** np.maximum(age_BTS, 0), 0)
  x_BTD = embed_VD[batch['inputs']] + place_TD[positions_BT]
  logits_BTV = np.tanh(weight_BTS @ x_BTD) @ head_DV
  logits_BTV -= logits_BTV.max(axis=-1, keepdims=True)
  logits_BTV -= np.log(np.exp(logits_BTV).sum(axis=-1, keepdims=True))
  targets_BT = batch['targets']
  nll_BT = -np.take_along_axis(logits_BTV, targets_BT[..., None], -1)[..., 0]
  return nll_BT.astype(np.float32), logits_BTV.argmax(-1) == targets_BT


def oracle(documents, context, stride, score=toy):
  """Returns the losses of each document, each token predicted on its own."""
  losses = []
  for tokens in documents:
    losses.append([])
    for i in range(1, len(tokens)):
      start = max(0, math.ceil((i - context) / stride)) * stride
      n = i - start
      batch = {'inputs': np.array([tokens[start:i]]),
               'targets': np.array([tokens[start + 1:i + 1]]),
               'positions': np.arange(n)[None],
               'segments': np.ones((1, n), np.int32)}
      losses[-1].append(float(score(batch)[0][0, -1]))
  return losses


def _documents(*lengths):
  rng = np.random.default_rng(sum(lengths))
  return [np.concatenate([[_BOS], rng.integers(2, _VOCAB, n - 1)])
          for n in lengths]


def _evaluate(documents, score=toy, **kwargs):
  kwargs = dict(vocab_size=_VOCAB, context=8, stride=4, bos_id=_BOS) | kwargs
  return likelihood.evaluate(score, documents, **kwargs)


@pytest.mark.parametrize('packed', [True, False])
@pytest.mark.parametrize('lengths, context, stride', [
    ((30,), 8, 8), ((30,), 8, 4), ((30,), 8, 1), ((2, 3, 9, 10, 25, 8), 8, 3),
    ((5, 4, 3, 2, 1), 16, 16), ((17, 33, 16), 16, 5)])
def test_reports_equal_an_oracle(lengths, context, stride, packed):
  documents = _documents(*lengths)
  expected = oracle(documents, context, stride)
  found = _evaluate(documents, context=context, stride=stride, batch_size=3,
                    packed=packed)
  flat = np.concatenate(expected)
  assert found.tokens == len(flat) and found.documents == len(lengths)
  assert found.nats_per_token == pytest.approx(flat.mean(), abs=1e-5)
  some = [row for row in expected if row]
  if len(some) > 1:  # Documents as clusters, by the formula.
    residuals = [sum(row) - flat.mean() * len(row) for row in some]
    n = len(some)
    assert found.stderr == pytest.approx(
        math.sqrt(n / (n - 1) * np.square(residuals).sum()) / len(flat), 1e-4)


def test_a_short_document_equals_one_forward():
  documents = _documents(12)
  batch = {'inputs': documents[0][None, :-1], 'targets': documents[0][None, 1:],
           'positions': np.arange(11)[None], 'segments': np.ones((1, 11), int)}
  assert _evaluate(documents, context=16, stride=1).nats == pytest.approx(
      float(toy(batch)[0].sum()), abs=1e-5)


def test_batch_size_and_order_change_nothing():
  documents = _documents(3, 40, 7, 2, 19, 5, 8, 8, 30)
  one = _evaluate(documents, batch_size=1)
  for other in (_evaluate(documents, batch_size=3),
                _evaluate(documents, batch_size=8),
                _evaluate(documents[::-1], batch_size=3)):
    assert other.nats_per_token == pytest.approx(one.nats_per_token, abs=1e-6)
    assert other.accuracy == pytest.approx(one.accuracy, abs=1e-9)
    assert (other.tokens, other.documents) == (one.tokens, one.documents)


def test_values_at_padding_are_never_read():
  documents = _documents(3, 40, 7, 2)
  rng = np.random.default_rng(0)
  def scribbled(batch):
    pad_BT = batch['segments'] == 0
    batch = batch | {
        name: np.where(pad_BT, rng.integers(0, _VOCAB, pad_BT.shape), batch[
            name]) for name in ('inputs', 'targets')}
    nll_BT, correct_BT = toy(batch)
    return np.where(pad_BT, np.nan, nll_BT), correct_BT | pad_BT
  clean, dirty = (
      dataclasses.replace(_evaluate(documents, score, batch_size=5), seconds=0.,
                          tokens_per_second=None)
      for score in (toy, scribbled))
  assert clean == dirty


def test_loss_by_position_and_frequency():
  documents = _documents(30, 5)
  losses = oracle(documents, 8, 8)
  found = _evaluate(documents, stride=8, counts=np.arange(_VOCAB))
  by_seen = {}
  for row in losses:
    for i, loss in enumerate(row):
      by_seen.setdefault(int(math.log2(i % 8 + 1)), []).append(loss)
  assert [(b.low, b.high) for b in found.by_position] == [
      (1, 1), (2, 3), (4, 7), (8, 15)]
  for bucket, key in zip(found.by_position, sorted(by_seen)):
    assert bucket.tokens == len(by_seen[key])
    assert bucket.nats_per_token == pytest.approx(np.mean(by_seen[key]), 1e-5)
  targets = np.concatenate([d[1:] for d in documents])
  assert [(b.low, b.high, b.tokens) for b in found.by_frequency] == [
      (1, 9, int((targets < 10).sum())), (10, 99, int((targets >= 10).sum()))]


def test_without_bos_the_first_token_costs_a_uniform_guess():
  documents = _documents(6, 1, 4)
  given, not_given = _evaluate(documents), _evaluate(documents, bos_id=None)
  assert (given.uncontexted, not_given.uncontexted) == (0, 3)
  assert not_given.tokens == given.tokens + 3
  assert not_given.nats == pytest.approx(given.nats + 3 * math.log(_VOCAB))
  assert not_given.by_position[0].high == 0
  assert 'first token of each document (3 in total)' in not_given.notes[0]


def test_uniform_scores_exactly_log_v_and_bits_by_hand():
  texts = ['é b', 'cd  e\n']  # 4 + 6 bytes, 4 words.
  documents = [[_BOS, 2, 3, 4, 0], [_BOS, 5, 6, 7, 8, 9, 10, 0]]
  found = _evaluate(documents, baselines.Uniform(_VOCAB),
                    texts=facts.Texts.of(texts))
  assert found.nats_per_token == pytest.approx(math.log(_VOCAB), rel=1e-7)
  assert (found.tokens, found.bytes, found.words) == (11, 10, 4)
  assert found.characters == 9
  assert found.bits_per_character == pytest.approx(
      11 * math.log2(_VOCAB) / 9)
  assert found.nats_per_character == pytest.approx(11 * math.log(_VOCAB) / 9)
  assert found.bits_per_byte == pytest.approx(11 * math.log2(_VOCAB) / 10)
  assert found.perplexity == pytest.approx(_VOCAB)
  assert found.word_perplexity == pytest.approx(_VOCAB ** (11 / 4))
  assert found.accuracy == pytest.approx(1 / _VOCAB)


@pytest.mark.parametrize('texts, words', [
    (['\u6f22\u5b57\u3002', 'x'], None), (['\u6f22', 'x ' * 20], 21),
    (['\u0e44\u0e17\u0e22 ' * 9, 'x'], None), (['한국 말', 'x'], 3)])
def test_words_are_counted_where_they_are_separated(texts, words):
  found = _evaluate([[_BOS, 2], [_BOS, 3]], baselines.Uniform(_VOCAB),
                    texts=facts.Texts.of(texts))
  assert found.words == words
  assert (found.word_perplexity is None) == (words is None)
  assert found.bits_per_character == pytest.approx(
      2 * math.log2(_VOCAB) / sum(map(len, texts)))


@pytest.mark.parametrize('bos_id', [_BOS, None])
def test_losses_of_each_document_are_kept(bos_id):
  documents = [[_BOS, 2, 3, 2], [_BOS], [_BOS, 5, 6, 7, 8, 9, 10, 0]]
  evaluate = functools.partial(_evaluate, bos_id=bos_id, stride=2)
  found = evaluate(documents, toy, texts=facts.Texts.of('abc'))
  alone = [evaluate([document], toy, texts=None) for document in documents
           if bos_id is None or len(document) > 1]
  if bos_id is not None:  # A document of BOS alone has nothing to score.
    assert found.by_document.tokens.tolist() == [3, 0, 7]
    assert found.by_document.nats[1] == 0
  scored = found.by_document.tokens > 0
  assert found.by_document.tokens[scored].tolist() == [
      each.tokens for each in alone]
  np.testing.assert_allclose(
      found.by_document.nats[scored], [each.nats for each in alone], rtol=1e-6)
  assert alone[0].by_document is None


@pytest.fixture(scope='module')
def tiny():
  """A decoder with weights large enough for any mistake to show."""
  model = decoder.DecoderConfig(
      vocab_size=_VOCAB, context=8, width=16, num_layers=2).build()
  params = jax.eval_shape(
      model.init, jax.random.key(0), np.zeros((1, 8), np.int32))['params']
  leaves, tree = jax.tree.flatten(params)
  rng = np.random.default_rng(3)
  return model, jax.tree.unflatten(
      tree, [rng.normal(0, 0.4, x.shape).astype(np.float32) for x in leaves])


@pytest.mark.slow
def test_a_decoder_equals_its_oracle_on_one_device_and_on_eight(tiny):
  model, params = tiny
  documents = _documents(19, 3, 6, 2, 9)
  apply = jax.jit(lambda inputs_BT: model.apply({'params': params}, inputs_BT))
  def alone(batch):
    n = batch['inputs'].shape[1]  # Padded on the right, out of its sight.
    inputs_BT = np.zeros((1, 8), np.int32)
    inputs_BT[:, :n] = batch['inputs']
    logits_V = np.asarray(apply(inputs_BT)[0][0, n - 1], np.float64)
    log_p_V = logits_V - np.log(np.exp(logits_V).sum())
    return -log_p_V[batch['targets'][:, -1:]], None
  expected = np.concatenate(oracle(documents, 8, 4, alone))
  scores = functools.partial(lm.token_scores, model)
  score = likelihood.of_params(scores, params)
  found = _evaluate(documents, score, batch_size=3)
  assert expected.mean() > 3.3  # Not a model that knows nothing.
  assert found.nats_per_token == pytest.approx(expected.mean(), abs=1e-5)
  shared = likelihood.of_params(scores, params, jax.devices())
  assert _evaluate(documents, shared, batch_size=8).nats == pytest.approx(
      found.nats, abs=1e-4)
  with pytest.raises(errors.InputError, match='multiple of the 8 devices'):
    _evaluate(documents, shared, batch_size=3)


def test_the_next_batch_is_handed_over_before_the_last_is_awaited():
  events = []
  class Slow:
    def __init__(self, number, values):
      self._number, self._values = number, values
    def __array__(self, dtype=None, copy=None):
      events.append(('fetched', self._number))
      return self._values
  def score(batch):
    number = sum(kind == 'handed' for kind, _ in events)
    events.append(('handed', number))
    nll_BT, correct_BT = toy(batch)
    return Slow(number, nll_BT), correct_BT
  _evaluate(_documents(30), score, batch_size=1)
  assert events[:4] == [
      ('handed', 0), ('handed', 1), ('fetched', 0), ('handed', 2)]


def test_the_speed_is_that_of_the_batches_after_the_first():
  assert _evaluate(_documents(9)).tokens_per_second is None
  assert _evaluate(_documents(90), batch_size=1).tokens_per_second > 0


def test_a_loss_that_is_not_finite_is_reported():
  def broken(batch):
    nll_BT, correct_BT = toy(batch)
    nll_BT[0, 2] = np.inf
    return nll_BT, correct_BT
  found = _evaluate(_documents(9), broken, context=8, stride=8)
  assert found.nonfinite == 1 and found.nats_per_token == math.inf
  assert 'loss of 1 tokens' in found.notes[0]


@pytest.mark.parametrize('documents, words', [
    ([[_BOS, 2, _VOCAB]], 'id 23, but the vocabulary has 23'),
    ([[_BOS, 2, -1]], 'id -1'),
    ([[_BOS, 2], [3, 4]], 'Document 1 should begin with BOS'),
    ([[_BOS, _BOS, 4]], 'has it 2 times'),
    ([[_BOS], []], 'Nothing to score'), ([], 'Nothing to score')])
def test_bad_documents_are_refused(documents, words):
  with pytest.raises(errors.InputError, match=words):
    _evaluate(documents)


def test_the_data_hash_depends_on_tokens_and_their_documents():
  hashes = {_evaluate(documents, bos_id=None).data_hash for documents in (
      [[2, 3, 4]], [[2, 3, 5]], [[2, 3], [4]], [[2], [3, 4]], [[4], [2, 3]])}
  assert len(hashes) == 5
