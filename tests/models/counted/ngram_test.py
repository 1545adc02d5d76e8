"""Batches against single contexts, files, and inputs that are refused."""
import numpy as np
import pytest

from lmjax.core import config
from lmjax.core import errors
from lmjax.evaluation import likelihood
from lmjax.models.counted import ngram
from lmjax.models.counted import ngram_cache
from lmjax.models.counted import ngram_katz
from lmjax.models.counted import ngram_smoothing

_VOCAB, _BOS, _EOS = 12, 0, 11
_SMOOTHINGS = [
    ngram_smoothing.ModifiedKneserNey(), ngram_smoothing.AddK(),
    ngram_katz.Katz(), ngram_smoothing.StupidBackoff()]


def _likely(rng, shape):
  """Returns tokens of which few are common, so that long contexts return."""
  return 1 + rng.choice(10, shape, p=np.array(
      [8, 6, 4, 1, 1, 1, 1, 1, 1, 0]) / 24)


def _documents(seed=0, count=40):
  rng = np.random.default_rng(seed)
  return [np.array([_BOS, *_likely(rng, rng.integers(1, 9)), _EOS])
          for _ in range(count)]


def _fit(order=4, smoothing=ngram_smoothing.ModifiedKneserNey(), **kwargs):
  return ngram.NgramConfig(order, smoothing, **kwargs).fit(
      _documents(), _VOCAB, _BOS)


def _batch():
  """Two texts in a row, padding, and a row that continues a long text."""
  tokens = _likely(np.random.default_rng(4), (2, 13))
  tokens[0, 0] = tokens[0, 5] = _BOS
  segments = np.array([[1] * 5 + [2] * 4 + [0] * 3, [1] * 12])
  positions = np.array([[*range(5), *range(4), 0, 0, 0], range(12)])
  targets = tokens[:, 1:].copy()
  targets[0, 4] = _EOS  # Of the first text, not the input after it.
  return {'inputs': tokens[:, :-1], 'targets': targets,
          'positions': positions, 'segments': segments}


def _expected(model, batch, row, column):
  start = column - batch['positions'][row, column]
  return model.distribution(batch['inputs'][row, start:column + 1])


@pytest.mark.parametrize('order', [1, 2, 4])
@pytest.mark.parametrize('smoothing', _SMOOTHINGS,
                         ids=lambda s: type(s).__name__)
def test_batches_are_scored_as_contexts_are(smoothing, order):
  model, batch = _fit(order, smoothing), _batch()
  nll_BT, correct_BT = model(batch)
  assert nll_BT.dtype == np.float32 and correct_BT.dtype == bool
  for row, column in zip(*np.nonzero(batch['segments'])):
    p = _expected(model, batch, row, column)
    target = batch['targets'][row, column]
    assert np.exp(-nll_BT[row, column]) == pytest.approx(p[target], rel=1e-5)
    top = np.flatnonzero(p > p.max() * (1 - 1e-12))
    assert target in top if correct_BT[row, column] else (
        len(top) > 1 or target not in top)
  assert (nll_BT[batch['segments'] == 0] == 0).all()


def test_targets_need_not_be_the_next_inputs():
  model, batch = _fit(), _batch()
  batch['targets'] = _likely(np.random.default_rng(8), (2, 12))
  nll_BT, _ = model(batch)
  for row, column in zip(*np.nonzero(batch['segments'])):
    p = _expected(model, batch, row, column)[batch['targets'][row, column]]
    assert np.exp(-nll_BT[row, column]) == pytest.approx(p, rel=1e-5)


def test_tokens_are_linked_within_a_segment_and_its_positions():
  linked_BT = ngram.linked({
      'segments': np.array([[1, 1, 2, 2, 2, 0]]),
      'positions': np.array([[0, 1, 2, 3, 0, 1]])})
  assert linked_BT.tolist() == [[False, True, False, True, False, False]]


def test_log_probability_sees_the_last_tokens_alone():
  model = _fit(3)
  contexts, tokens = np.array([[5, 1, 2], [6, 1, 2]]), np.array([3, 3])
  found = model.log_probability(contexts, tokens)
  assert found[0] == found[1]
  np.testing.assert_allclose(
      np.exp(found), model.distribution([1, 2])[[3, 3]])


def test_whole_texts_are_scored_whatever_the_windows():
  model = _fit(3)
  reports = [likelihood.evaluate(
      model, _documents(seed=1), vocab_size=_VOCAB, context=context,
      stride=stride, bos_id=_BOS, packed=packed)
             for context, stride, packed in ((64, 64, True), (64, 9, False),
                                             (5, 2, True))]
  assert reports[0].nats_per_token == pytest.approx(
      reports[1].nats_per_token, rel=1e-6)
  assert reports[0].accuracy == reports[2].accuracy


def test_longer_contexts_help_where_the_text_needs_them():
  rng = np.random.default_rng(0)
  rows, tokens = rng.dirichlet(np.full(5, 0.2), (5, 5)), [0, 1]
  for _ in range(6000):
    tokens.append(int(rng.choice(5, p=rows[tokens[-2], tokens[-1]])))
  train, test = tokens[:5000], np.array(tokens[5000:])
  truth = -np.log(rows[test[:-2], test[1:-1], test[2:]]).mean()
  found = [-ngram.NgramConfig(order).fit([train], 5, None).log_probability(
      np.stack([test[:-2], test[1:-1]], 1), test[2:]).mean()
           for order in (1, 2, 3)]
  assert found[0] > found[1] > found[2] == pytest.approx(truth, abs=0.03)


@pytest.mark.parametrize('cache', [None, ngram_cache.CacheConfig(0.2, 7)])
def test_load_gives_what_was_saved(tmp_path, cache):
  model = _fit(smoothing=ngram_smoothing.StupidBackoff(), cache=cache)
  model.save(tmp_path / 'model.npz')
  loaded = ngram.load(tmp_path / 'model.npz')
  assert loaded.digest == model.digest and loaded.cache == cache
  assert loaded.name == model.name and not loaded.normalised
  for found, expected in zip(loaded(_batch()), model(_batch())):
    np.testing.assert_array_equal(found, expected)
  assert _fit(3).digest != _fit(4).digest


def test_config_survives_flags():
  for smoothing in _SMOOTHINGS:
    start = ngram.NgramConfig(3, smoothing, ngram_cache.CacheConfig())
    assert config.freeze(ngram.NgramConfig, config.to_dict(start)) == start


def test_what_cannot_be_scored_is_refused():
  with pytest.raises(errors.InputError, match='order should be .* at most 6'):
    ngram.NgramConfig(0)
  with pytest.raises(errors.InputError, match='from 0 to 11; got 12'):
    _fit().distribution([12])
  assert _fit().num_ngrams[0] == 11
