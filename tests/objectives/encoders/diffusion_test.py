"""Masked diffusion: the bound by enumeration, and what it may not depend on."""
import functools
import itertools
import math
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
from lmjax.objectives.encoders import diffusion
from lmjax.testing import batches
from lmjax.testing import hot

VOCAB, MASK = 4, 3
TOKENIZER = types.SimpleNamespace(
    vocab_size=VOCAB, control_ids=(MASK,), special={'[MASK]': MASK}.get)
CONFIG = decoder.DecoderConfig(
    vocab_size=VOCAB, context=8, width=8, num_layers=1, causal=False,
    block=block.PreNorm(
        mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(12)))
MODEL = CONFIG.build()
PARAMS = hot.hot_params(jax.eval_shape(
    MODEL.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'],
                        std=0.6)
DOCS = batches.documents([4, 1, 5, 3], MASK)


@functools.cache
def log_p(ids):
  """The model's log-probabilities where some of three tokens are masked."""
  return np.asarray(UNMASKED(APPLY(np.array([ids]))[0][0]))


UNMASKED = jax.jit(lambda logits: jax.nn.log_softmax(
    logits.at[..., MASK].set(-jnp.inf)))


APPLY = jax.jit(lambda ids: MODEL.apply(
    {'params': PARAMS}, ids, masks.of_length(3, causal=False)))


def exact_bound(text):
  """E over t in (0, 1] and masks of sum nll / t, all masks one by one."""
  n, total = len(text), 0.0
  for masked in itertools.product([False, True], repeat=n):
    count = sum(masked)
    if not count:
      continue
    # The integral of t^(count - 1) (1 - t)^(n - count), a Beta function.
    weight = math.gamma(count) * math.gamma(n - count + 1) / math.gamma(n + 1)
    seen = tuple(MASK if m else c for c, m in zip(text, masked))
    total -= weight * sum(
        log_p(seen)[i, c] for i, (c, m) in enumerate(zip(text, masked)) if m)
  return total


@pytest.mark.slow
def test_scores_estimate_an_upper_bound():
  texts = list(itertools.product(range(MASK), repeat=3))
  want = np.array([exact_bound(text) for text in texts])
  assert np.exp(-want).sum() < 1  # Each is at least -log p, which sums to 1.
  batch = batches.alone([np.array((0, *text), np.int32) for text in texts])
  nll, correct = jax.jit(diffusion.MaskedDiffusion(samples=2000).scores(
      MODEL, TOKENIZER))(PARAMS, batch)
  np.testing.assert_allclose(nll.sum(axis=1), want, rtol=0.1)
  assert nll.sum(axis=1).mean() == pytest.approx(want.mean(), rel=0.01)
  assert np.all((correct >= 0) & (correct <= 1)) and np.any(correct > 0)


@pytest.mark.slow
def test_scores_depend_on_the_document_alone():
  score = jax.jit(diffusion.MaskedDiffusion(samples=4).scores(MODEL, TOKENIZER))
  alone, packed = batches.alone(DOCS, 8), batches.packed(DOCS, 8)
  packed = {k: np.pad(v, ((0, 4 - len(v)), (0, 0))) for k, v in packed.items()}
  got, want = (score(PARAMS, b)[0][b['weights'] > 0] for b in (packed, alone))
  np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-5)
  twice = batches.alone([DOCS[0]] * 4, 8)
  nll, _ = score(PARAMS, twice)
  np.testing.assert_array_equal(nll[0], nll[1])


@pytest.mark.slow
def test_the_loss_is_masked_losses_over_their_times():
  objective = diffusion.MaskedDiffusion(smallest=0.2)
  batch = batches.packed(DOCS, 8)
  batch['weights'][0, 2] = 0
  got = jax.jit(objective.build(MODEL, TOKENIZER))(PARAMS, batch)
  sequence = diffusion.of_targets(batch)
  t, u = jax.jit(diffusion._by_content)(jax.random.key(0), sequence)
  t = 0.2 + 0.8 * t
  masked = np.asarray((u < t) & (batch['weights'] > 0))
  logits, _ = jax.jit(MODEL.apply)(
      {'params': PARAMS}, jnp.where(masked, MASK, batch['targets']),
      masks.make(batch['positions'], batch['segments'], causal=False))
  table = np.asarray(UNMASKED(logits))
  nll = -np.take_along_axis(table, batch['targets'][..., None], -1)[..., 0]
  np.testing.assert_allclose(
      got['loss'].total, (nll * masked / t).sum(), rtol=1e-4)
  assert got['loss'].weight == 12 and got['masked'].total == masked.sum()


def test_times_are_uniform_and_drawn_per_document():
  sequence = diffusion.of_targets(batches.packed(
      batches.documents([3] * 300, MASK), 900))
  draw = jax.jit(diffusion._by_place)
  t, u = map(np.asarray, draw(jax.random.key(0), sequence))
  each = t[0].reshape(300, 3)
  assert np.all(each == each[:, :1]) and len(np.unique(each)) > 290
  for values in (each[:, 0], u[0]):
    quarters = np.histogram(values, 4, (0, 1))[0] / len(values)
    np.testing.assert_allclose(quarters, 0.25, atol=0.09)
  other, _ = draw(jax.random.key(1), sequence)
  assert not np.any(other == t)


def test_unusable_models_and_settings_are_refused():
  objective = diffusion.MaskedDiffusion()
  causal = decoder.DecoderConfig(vocab_size=VOCAB).build()
  with pytest.raises(errors.InputError, match='model.causal=False'):
    objective.build(causal, TOKENIZER)
  with pytest.raises(errors.InputError, match='needs the tokenizer'):
    objective.scores(MODEL)
  headless = encoder.EncoderConfig(vocab_size=VOCAB, tokens=None).build()
  with pytest.raises(errors.InputError, match='head model.tokens'):
    objective.build(headless, TOKENIZER)
  for changes in (dict(smallest=0.0), dict(samples=0)):
    with pytest.raises(errors.InputError, match=next(iter(changes))):
      diffusion.MaskedDiffusion(**changes)
