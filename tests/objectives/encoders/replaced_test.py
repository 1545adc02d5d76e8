"""Labels, the draw, and the loss of replaced-token detection."""
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import trees
from lmjax.models import electra
from lmjax.models import encoder
from lmjax.models import parts
from lmjax.nn import attention
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import masks
from lmjax.objectives.encoders import mlm
from lmjax.objectives.encoders import replaced
from lmjax.testing import batches
from lmjax.testing import hot

VOCAB, MASK = 13, 12
TOKENIZER = types.SimpleNamespace(
    vocab_size=VOCAB, control_ids=(11, MASK), special={'[MASK]': MASK}.get)


def encoder_of(width, embed=parts.TypedEmbed(size=8), **changes):
  return encoder.EncoderConfig(
      vocab_size=VOCAB, context=16, width=width, num_layers=1,
      embed=embed, block=block.PostNorm(
          mixer=attention.AttentionConfig(2), mlp=layers.MLPConfig(16)),
      **changes)


MODEL = electra.ElectraConfig(encoder_of(4), encoder_of(
    8, tokens=None, replaced=encoder.ReplacedHead())).build()
BATCH = batches.packed(batches.documents([6, 3, 4, 9, 2], VOCAB - 2), 10)
OBJECTIVE = replaced.ReplacedTokens(mlm.MaskedLM(0.5, 1.0, 0.0), weight=20.0)


@pytest.fixture(scope='module')
def params():
  return hot.hot_params(jax.eval_shape(
      MODEL.init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))['params'])


@jax.jit
def drawn(batch, logits_of_vocab, rng=None):
  masked = OBJECTIVE.mlm.masker(TOKENIZER)(batch, jax.random.key(7))
  logits = jnp.broadcast_to(
      logits_of_vocab[None, None], masked.targets_BM.shape + (VOCAB,))
  return masked, replaced.replaced(batch, masked, logits, rng)


@pytest.mark.slow
def test_only_chosen_tokens_are_replaced_and_by_a_draw():
  rng = np.random.default_rng(0)
  batch = {'inputs': rng.integers(0, 11, (400, 10)).astype(np.int32),
           'segments': np.ones((400, 10), np.int32)}
  p = np.full(VOCAB, 1e-9)
  p[[3, 5]] = 0.25, 0.75
  masked, inputs = drawn(batch, np.log(p).astype(np.float32), jax.random.key(0))
  chosen, inputs = np.asarray(masked.chosen_BT), np.asarray(inputs)
  np.testing.assert_array_equal(inputs[~chosen], batch['inputs'][~chosen])
  assert set(inputs[chosen]) == {3, 5} and chosen.sum() == 2000
  assert np.mean(inputs[chosen] == 5) == pytest.approx(0.75, abs=0.04)
  once, again = (drawn(batch, np.zeros(VOCAB, np.float32))[1] for _ in range(2))
  np.testing.assert_array_equal(once, again)


@pytest.mark.slow
def test_a_draw_of_the_token_itself_is_original(params):
  batch = BATCH | {'inputs': np.full_like(BATCH['inputs'], 4)}
  only = np.where(np.arange(VOCAB) == 4, 0.0, -1e9).astype(np.float32)
  masked, inputs = drawn(batch, only, jax.random.key(0))
  assert np.any(masked.chosen_BT)
  np.testing.assert_array_equal(inputs, batch['inputs'])


@pytest.mark.slow
def test_the_loss_is_the_sum_of_both_encoders(params):
  got = jax.jit(OBJECTIVE.build(MODEL, TOKENIZER))(params, BATCH)
  masked = jax.jit(OBJECTIVE.mlm.masker(TOKENIZER))(BATCH, None)
  mask = masks.make(BATCH['positions'], BATCH['segments'], causal=False)
  variables = {'params': params}
  logits = np.asarray(
      jax.jit(MODEL.apply)(variables, masked.inputs_BT, mask)[0])
  at = np.take_along_axis(logits, np.asarray(masked.places_BM)[..., None], 1)
  inputs = jax.jit(replaced.replaced)(BATCH, masked, at, None)
  judged = np.asarray(jax.jit(lambda variables: MODEL.apply(
      variables, method=lambda m: m.replaced_logits(
          m.hidden(inputs, mask)[0])))(variables))

  log_p = np.asarray(jax.nn.log_softmax(logits))
  chosen, real = np.asarray(masked.chosen_BT), BATCH['segments'] > 0
  nll = -np.take_along_axis(log_p, BATCH['inputs'][..., None], -1)[..., 0]
  label = np.asarray(inputs) != BATCH['inputs']
  p = 1 / (1 + np.exp(-judged.astype(np.float64)))
  judge = -np.where(label, np.log(p), np.log(1 - p))
  np.testing.assert_allclose(
      got['replaced_nll'].value, judge[real].mean(), rtol=1e-5)
  np.testing.assert_allclose(got['nll'].value, nll[chosen].mean(), rtol=1e-5)
  # Every real token could be chosen, so each is worth its rate.
  np.testing.assert_allclose(
      got['loss'].total, nll[chosen].sum() + 20 * 0.5 * judge[real].sum(),
      rtol=1e-5)
  assert got['loss'].weight == chosen.sum()
  assert got['replaced'].value == pytest.approx(label[real].mean())
  assert 0 < label[real].sum() <= chosen.sum()
  assert got['replaced_accuracy'].value == pytest.approx(
      ((judged > 0) == label)[real].mean())


@pytest.mark.slow
def test_no_gradient_goes_through_the_draw(params):
  objective = OBJECTIVE.build(MODEL, TOKENIZER)
  @jax.jit
  def gradient(params):
    return jax.grad(lambda p: objective(p, BATCH)['replaced_nll'].total)(params)
  got = gradient(params)
  for path, leaf in trees.items(got):
    if path.startswith('generator'):
      assert not np.any(leaf), path
    elif 'key/bias' not in path and 'types' not in path:
      assert np.any(leaf), path


@pytest.mark.slow
def test_the_draw_follows_the_key_even_if_the_mask_does_not(params):
  objective = replaced.ReplacedTokens(mlm.MaskedLM(0.5, 1.0, 0.0, static=True))
  run = jax.jit(objective.build(MODEL, TOKENIZER))
  off = run(params, BATCH)['loss'].total
  assert off == run(params, BATCH)['loss'].total
  keys = jax.random.split(jax.random.key(0))
  losses = {float(run(params, BATCH, key)['loss'].total) for key in keys}
  assert len(losses | {float(off)}) == 3


@pytest.mark.slow
def test_ids_beyond_the_tokenizer_are_never_drawn(params, monkeypatch):
  draw, inputs = replaced.replaced, []
  monkeypatch.setattr(replaced, 'replaced', lambda *args: (
      inputs.append(draw(*args)), inputs[-1])[1])
  fewer = types.SimpleNamespace(
      vocab_size=9, control_ids=(7, 8), special={'[MASK]': 8}.get)
  objective = OBJECTIVE.build(MODEL, fewer)
  batch = batches.packed(batches.documents([6, 3, 4, 9, 2], 7), 10)
  for seed in range(3):
    objective(params, batch, jax.random.key(seed))
  assert max(np.max(each) for each in inputs) < 9


def test_one_encoder_is_refused():
  with pytest.raises(errors.InputError, match='kind=ElectraConfig'):
    OBJECTIVE.build(encoder_of(8).build(), TOKENIZER)
  with pytest.raises(errors.InputError, match='temperature should be above'):
    replaced.ReplacedTokens(temperature=0)
