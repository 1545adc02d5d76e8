"""Each check catches its seeded bugs: one line wrong, one failure."""
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.nn import attend as attend_lib
from lmjax.nn import block
from lmjax.nn import masks
from lmjax.objectives import lm
from lmjax.testing import invariance

INPUTS = np.random.default_rng(0).integers(0, 13, (2, 7)).astype(np.int32)


def caught(match, check, *args, **kwargs):
  with pytest.raises(AssertionError, match=match):
    check(*args, **kwargs)


def changed(loss, change):
  """Returns the loss, reading a changed batch."""
  return lambda params, batch: loss(params, change(batch))


# -- no_future_leakage


def test_mask_shifted_by_one_leaks(make_subject):
  def shifted(q, k, v, mask, **options):
    mask = mask.replace(
        query_positions_BT=mask.query_positions_BT + 1, square=False)
    return attend_lib.plain(q, k, v, mask, **options)
  leaky = make_subject(shifted)
  caught('Output before token 1 should be identical',
         invariance.no_future_leakage,
         lambda x: leaky.model.apply({'params': leaky.params}, x)[0], INPUTS)


def test_a_mean_over_the_sequence_leaks():
  caught('sees the future', invariance.no_future_leakage,
         lambda x: x - x.mean(axis=1, keepdims=True), np.ones((1, 4, 3)))


def test_a_leak_of_the_last_token_only_is_found():
  def leak(x):
    return x.at[:, -2].add(1e-6 * x[:, -1])
  caught('Output before token 3', invariance.no_future_leakage, leak,
         np.ones((1, 4, 3), np.float32))


def test_a_block_of_real_inputs_passes_by_gradient_too(subject):
  config = subject.config
  module = block.PreNormBlock(
      config.block, config.policy, config.positions, attend_lib.plain)
  params = {'params': subject.params['layer_0']}
  invariance.no_future_leakage(
      lambda x: module.apply(
          params, x, None, masks.of_length(5), None, None, False)[0],
      np.random.default_rng(1).normal(size=(2, 5, 16)).astype(np.float32))


def test_a_leak_in_the_gradient_alone_is_found():
  def leak(x):
    future = jnp.roll(x, -1, axis=1)
    return x + (future - jax.lax.stop_gradient(future))
  caught('gradient of output 0', invariance.no_future_leakage, leak,
         np.ones((1, 4, 3), np.float32))


def test_a_model_blind_to_its_inputs_proves_nothing():
  caught('proves nothing', invariance.no_future_leakage,
         lambda x: jnp.zeros(x.shape), INPUTS)


# -- cached_decode_equals_full


def decode_with(subject, before=lambda batch, cache: (batch, cache),
                after=lambda cache: cache):
  def decode(batch, cache):
    if cache is None:
      return subject.decode(subject.params, batch, None)
    logits, cache = subject.decode(subject.params, *before(batch, cache))
    return logits, after(cache)
  return decode


CACHE_BUGS = {
    'slot off by one': dict(
        after=lambda cache: cache.replace(slots_B=cache.slots_B + 1)),
    'slot stands still': dict(
        after=lambda cache: cache.replace(
            slots_B=jnp.zeros_like(cache.slots_B))),
    'padding is seen': dict(before=lambda batch, cache: (
        batch | {'segments': jnp.ones_like(batch['segments'])}, cache)),
    'positions count padding': dict(before=lambda batch, cache: (
        batch | {'positions': jnp.broadcast_to(
            cache.slots_B[:, None] + jnp.arange(
                batch['inputs'].shape[1])[None],
            batch['inputs'].shape)}, cache)),
    'position off by one': dict(before=lambda batch, cache: (
        batch | {'positions': batch['positions'] + (
            cache.slots_B > 0)[:, None]}, cache)),
    'keys are forgotten': dict(after=lambda cache: cache.replace(
        segments_BS=jnp.zeros_like(cache.segments_BS))),
}


@pytest.mark.parametrize('bug', [
    pytest.param(bug, marks=[pytest.mark.slow] * (number >= 3))
    for number, bug in enumerate(CACHE_BUGS)])
def test_a_broken_cache_is_caught(subject, bug):
  caught('decoded with a cache', invariance.cached_decode_equals_full,
         decode_with(subject, **CACHE_BUGS[bug]), subject.empty_cache,
         vocab_size=subject.vocab_size)


# -- padding_invariance


@pytest.mark.slow
def test_the_objective_is_invariant_with_tight_tolerance(subject):
  loss = lm.Causal(z_loss=1e-3).build(subject.model)
  for check in (invariance.padding_invariance, invariance.packing_invariance,
                invariance.batch_invariance):
    check(loss, subject.params, vocab_size=subject.vocab_size, tolerance=5e-6)


def test_weights_that_are_ignored_are_caught(toy):
  loss, params = toy
  caught('other ids at padded places', invariance.padding_invariance,
         changed(loss, lambda batch: batch | {
             'weights': jnp.ones_like(batch['weights'])}),
         params, vocab_size=13)


def test_padding_that_is_averaged_is_caught(toy):
  loss, params = toy
  def centred(params, batch):  # Over real tokens and padding alike.
    total, weight = loss(params, batch)
    return total + jnp.sum(params['embed'][batch['inputs']]), weight
  caught('other ids', invariance.padding_invariance, centred, params,
         vocab_size=13)


def test_division_by_all_places_is_caught(toy):
  loss, params = toy
  caught('longer rows', invariance.padding_invariance,
         lambda p, b: loss(p, b)[0] / b['inputs'].size, params, vocab_size=13)


def test_nan_of_an_empty_batch_is_caught():
  def loss(params, batch):
    weights = batch['weights']
    return jnp.sum(params[batch['targets']] * weights) / jnp.sum(weights)
  caught('not finite', invariance.padding_invariance, loss, jnp.arange(9.0),
         vocab_size=9)


def test_a_loss_without_parameters_proves_nothing():
  caught('proves nothing', invariance.padding_invariance,
         lambda params, batch: (jnp.sum(params) * 0, 1.0), jnp.ones(3),
         vocab_size=9)


# -- packing_invariance

PACKING_BUGS = {
    'segments are missing': lambda batch: batch | {
        'segments': (batch['segments'] > 0).astype(jnp.int32)},
    'positions do not restart': lambda batch: batch | {
        'positions': jnp.broadcast_to(
            jnp.arange(batch['inputs'].shape[1])[None],
            batch['inputs'].shape)},
    'segments are late by one': lambda batch: batch | {
        'segments': jnp.roll(batch['segments'], 1, axis=1)},
    'targets cross into the next document': lambda batch: batch | {
        'targets': jnp.roll(batch['inputs'], -1, axis=1)},
}


@pytest.mark.parametrize('bug', PACKING_BUGS)
def test_documents_that_mix_are_caught(toy, bug):
  loss, params = toy
  caught('documents packed in one row', invariance.packing_invariance,
         changed(loss, PACKING_BUGS[bug]), params, vocab_size=13)


# -- batch_invariance


@pytest.mark.slow
def test_mean_of_means_is_caught(toy):
  loss, params = toy
  def rows(params, batch):  # Averages rows, whatever they count.
    return jnp.mean(jnp.stack([
        jnp.divide(*loss(params, {k: v[i:i + 1] for k, v in batch.items()}))
        for i in range(len(batch['inputs']))]))
  caught('summed loss of a batch', invariance.batch_invariance, rows, params,
         vocab_size=13)


def test_statistics_over_the_batch_are_caught():
  def loss(params, batch):
    values = params[batch['targets']]
    return jnp.sum((values - values.mean()) * batch['weights'] * values), 1.0
  caught('summed loss of a batch', invariance.batch_invariance, loss,
         jnp.arange(9.0), vocab_size=9)


@pytest.mark.slow
def test_dropout_in_evaluation_is_caught(make_subject):
  noisy = make_subject(dropout=0.5)
  objective = lm.Causal().build(noisy.model)
  caught('dropout', invariance.batch_invariance,
         lambda params, batch: objective(params, batch, jax.random.key(0)),
         noisy.params, vocab_size=noisy.vocab_size)
