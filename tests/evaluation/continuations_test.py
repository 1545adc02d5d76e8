"""Continuations scored together and with shared beginnings, as one by one."""
import dataclasses
import functools

import jax
import numpy as np
import pytest

from lmjax.evaluation import branches
from lmjax.evaluation import continuations
from lmjax.evaluation import likelihood
from lmjax.models import cost
from lmjax.models.presets import decoders
from lmjax.objectives import lm
from lmjax.testing import hot

_VOCAB, _CONTEXT = 11, 96


def _sized(config, **mixer):
  return dataclasses.replace(
      config, vocab_size=_VOCAB, context=_CONTEXT,
      block=dataclasses.replace(config.block, mixer=dataclasses.replace(
          config.block.mixer, **mixer)))


_LLAMA = decoders.llama(
    16, 2, 4, 2, 24, vocab_size=_VOCAB, context=_CONTEXT)
CONFIGS = {
    'gpt2': _sized(decoders.gpt2(16, 2, 2)),
    'llama': _LLAMA,
    'alibi': _sized(decoders.bloom(16, 2, 2)),
    'window': _sized(_LLAMA, window=5),
}


def spans_of(count, seed=0):
  """Returns random texts, of which neighbours often begin alike."""
  rng, longest = np.random.default_rng(seed), _CONTEXT + 1
  spans, before = [], np.zeros(0, np.int64)
  for _ in range(count):
    kept = before[:rng.integers(0, len(before) + 1) * rng.integers(2)]
    new = rng.integers(0, _VOCAB, rng.choice([2, 5, 9, 30, longest]))
    ids = np.concatenate([kept, new])[:longest]
    spans.append(branches.Span(ids, int(rng.integers(1, len(ids)))))
    before = ids
  return spans


def made(config):
  return config.build(), hot.hot_params(cost.shapes(config))


def plainly(model, params, spans):
  """Returns each text's nats and number of best tokens, one text at a time."""
  apply = jax.jit(lambda ids_BT: model.apply({'params': params}, ids_BT)[0])
  out = []
  for ids, start in spans:
    padded = np.pad(ids[:-1], (0, model.config.context + 1 - len(ids)))
    logits_TV = np.asarray(apply(padded[None])[0], np.float64)
    log_p_TV = logits_TV - np.log(np.exp(logits_TV).sum(-1, keepdims=True))
    places, targets = np.arange(start - 1, len(ids) - 1), ids[start:]
    out.append((-log_p_TV[places, targets].sum(),
                (log_p_TV[places].argmax(-1) == targets).sum()))
  return np.array(out).T


def _branching(model, params, devices=None):
  return continuations.of_params(
      functools.partial(lm.branch_scores, model), params, devices, _CONTEXT)


@pytest.mark.parametrize('config', [
    pytest.param(config, id=name, marks=(
        [] if name in ('gpt2', 'window') else [pytest.mark.slow]))
    for name, config in CONFIGS.items()])
def test_shared_beginnings_change_no_likelihood(config):
  model, params = made(config)
  spans = spans_of(40)
  nats_N, right_N = _branching(model, params)(spans)
  wanted_N, wanted_right_N = plainly(model, params, spans)
  np.testing.assert_allclose(nats_N, wanted_N, rtol=2e-6, atol=1e-5)
  np.testing.assert_array_equal(right_N, wanted_right_N)
  assert 0 < right_N.sum() < sum(len(ids) - start for ids, start in spans)


@pytest.mark.slow
def test_devices_that_share_a_batch_change_no_bit():
  model, params = made(CONFIGS['llama'])
  spans = spans_of(40)
  np.testing.assert_array_equal(
      _branching(model, params)(spans),
      _branching(model, params, jax.devices()[:2])(spans))


def test_a_score_of_texts_alone_agrees():
  model, params = made(CONFIGS['gpt2'])
  spans = spans_of(40)
  score = likelihood.of_params(
      functools.partial(lm.token_scores, model), params)
  found = continuations.alone(score, _CONTEXT)(spans)
  wanted = plainly(model, params, spans)
  np.testing.assert_allclose(found[0], wanted[0], rtol=2e-6, atol=1e-5)
  np.testing.assert_array_equal(found[1], wanted[1])


def test_nothing_to_score_is_no_program():
  for rate in (continuations.branching(None, 9), continuations.alone(None, 9)):
    assert [len(found) for found in rate([])] == [0, 0]
