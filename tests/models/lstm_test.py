"""The recurrent model: documents, padding, decoding and dropout."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.flags import overrides
from lmjax.core import trees
from lmjax.generation import sample
from lmjax.generation import transforms
from lmjax.models import cost
from lmjax.models import decoder
from lmjax.models import lstm
from lmjax.nn import masks
from lmjax.nn import recurrent
from lmjax.objectives import lm
from lmjax.testing import batches
from lmjax.testing import hot
from lmjax.testing import suite

VOCAB = 17
ZAREMBA = lstm.RecurrentConfig(
    vocab_size=VOCAB, context=24, width=6, num_layers=2,
    cell=recurrent.LSTMConfig(8), init_scale=0.05,
    dropout=lstm.Dropout(input=0.5, between=0.5, output=0.5))
AWD = lstm.RecurrentConfig(
    vocab_size=VOCAB, context=24, width=6, num_layers=2, tied=True,
    cell=recurrent.LSTMConfig(8, weight_drop=0.5), last_hidden=6,
    dropout=lstm.Dropout(0.1, 0.4, 0.25, 0.4, locked=True))
GRU = lstm.RecurrentConfig(
    vocab_size=VOCAB, context=24, width=6, num_layers=1, tied=True,
    cell=recurrent.GRUConfig(8), head_bias=False)  # With a projection.
STYLES = {'zaremba': ZAREMBA, 'awd': AWD, 'gru': GRU}
BATCH = batches.packed(batches.documents([5, 4, 6, 3], VOCAB), 10)


def params_of(config):
  return hot.hot_params(jax.eval_shape(
      config.build().init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))[
          'params'], std=0.4)


@pytest.fixture(scope='module', params=STYLES)
def styled(request):
  """A config and its parameters."""
  config = STYLES[request.param]
  return config, params_of(config)


def apply(config, params, inputs, mask=None, cache=None, **kwargs):
  model = config.build()
  return jax.jit(lambda params, inputs, mask, cache: model.apply(
      {'params': params}, inputs, mask, cache=cache, **kwargs))(
          params, inputs, mask, cache)


@pytest.mark.slow
def test_it_keeps_what_a_language_model_promises():
  config = dataclasses.replace(ZAREMBA, num_layers=1)
  params, model = params_of(config), config.build()
  def decode(params, batch, cache):
    mask = masks.make(batch['positions'], batch['segments'])
    return model.apply({'params': params}, batch['inputs'], mask, cache=cache)
  suite.check_all(
      lambda params, batch: decode(params, batch, None)[0], params,
      vocab_size=VOCAB, length=6, decode=decode, empty_cache=model.empty_cache)


@pytest.mark.slow
@pytest.mark.parametrize('config', [AWD, GRU], ids=['awd', 'gru'])
def test_every_parameter_has_a_finite_gradient(config):
  params = params_of(config)
  objective = lm.Causal().build(config.build())
  def loss(params):
    return objective(params, BATCH, rng=jax.random.key(1))['loss'].total
  gradient = jax.jit(jax.grad(loss))(params)
  for path, leaf in trees.items(gradient):
    assert np.all(np.isfinite(leaf)), path
    assert np.any(leaf != 0), path


def test_parameters_are_those_stated():
  def names(config):
    return {path.partition('/')[0] for path, _ in trees.items(
        jax.eval_shape(lambda: decoder.initial_params(config.build(), 0)))}
  assert names(ZAREMBA) == {'embed', 'layer_0', 'layer_1', 'head'}
  assert names(AWD) == {'embed', 'layer_0', 'layer_1', 'head_bias'}
  assert names(GRU) == {'embed', 'layer_0', 'projection'}


def test_cost_counts_six_flops_for_each_weight():
  flops = cost.training_flops(
      lm.Causal().build(ZAREMBA.build()), cost.shapes(ZAREMBA), BATCH)
  kernels = (6 + 8) * 32 + (8 + 8) * 32 + 8 * VOCAB
  assert flops == 6 * kernels * BATCH['inputs'].size


def test_weights_start_uniform_within_their_scale():
  config = dataclasses.replace(ZAREMBA, vocab_size=500, width=40)
  params = jax.jit(decoder.initial_params, static_argnums=(0, 1))(
      config.build(), 0)
  for leaf in params['embed']['embedding'], params['head']['kernel']:
    assert 0.0499 < np.abs(leaf).max() <= 0.05


def test_a_state_continues_until_a_document_begins():
  params, inputs = params_of(ZAREMBA), BATCH['inputs']
  compiled, empty = jax.jit(ZAREMBA.build().apply), ZAREMBA.build().empty_cache
  def logits(inputs, start, cache):
    positions = start + np.broadcast_to(np.arange(inputs.shape[1]),
                                        inputs.shape)
    return compiled(
        {'params': params}, inputs, masks.make(positions), cache=cache)
  whole, _ = compiled({'params': params}, inputs)
  _, carry = logits(inputs[:, :5], 0, empty(2))
  went_on, _ = logits(inputs[:, 5:], 5, carry)
  np.testing.assert_allclose(went_on, whole[:, 5:], atol=1e-5)
  anew, _ = logits(inputs[:, 5:], 0, carry)
  np.testing.assert_allclose(
      anew, logits(inputs[:, 5:], 0, empty(2))[0], atol=1e-6)
  assert np.abs(anew - went_on).max() > 1e-2


@pytest.mark.slow
def test_generation_draws_what_the_full_pass_finds_most_likely():
  params, model = params_of(ZAREMBA), ZAREMBA.build()
  prompts = [np.array([3, 1, 4]), np.array([1, 5, 9, 2, 6])]
  drawn = sample.generate(
      model, params, prompts, max_new_tokens=3,
      sampling=transforms.Sampling(temperature=0))
  for prompt, tokens in zip(prompts, drawn.tokens, strict=True):
    text = np.concatenate([prompt, tokens])
    logits, _ = apply(ZAREMBA, params, text[None])
    assert tokens.tolist() == np.argmax(
        logits[0, len(prompt) - 1:-1], -1).tolist()


def outputs(config, inputs, **dropout):
  config = dataclasses.replace(config, dropout=lstm.Dropout(**dropout))
  return apply(config, params_of(config), inputs, train=True, method='outputs',
               rngs={'dropout': jax.random.key(3)})


def test_outputs_are_dropped_after_the_last_layer_alone():
  raw, dropped, _ = outputs(GRU, BATCH['inputs'], output=0.5)
  plain, _ = apply(GRU, params_of(GRU), BATCH['inputs'], method='hidden')
  np.testing.assert_allclose(raw, plain, atol=1e-6)
  kept = np.asarray(dropped != 0)
  assert 0.3 < kept.mean() < 0.7
  np.testing.assert_allclose(dropped[kept], 2 * raw[kept], rtol=1e-6)


def test_a_locked_mask_is_the_same_at_every_time_step():
  _, locked, _ = outputs(GRU, BATCH['inputs'], output=0.5, locked=True)
  zero = np.asarray(locked == 0)
  assert (zero == zero[:, :1]).all() and zero.any() and not zero.all()
  assert (zero[0] != zero[1]).any()
  _, free, _ = outputs(GRU, BATCH['inputs'], output=0.5)
  assert (np.asarray(free == 0) != np.asarray(free == 0)[:, :1]).any()


@pytest.mark.parametrize('place', ['input', 'between', 'words'])
def test_each_place_drops(place):
  config = ZAREMBA if place == 'between' else GRU
  plain, _ = apply(config, params_of(config), BATCH['inputs'], method='hidden')
  raw, _, _ = outputs(config, BATCH['inputs'], **{place: 0.5})
  assert np.abs(raw - plain).max() > 1e-3


def test_a_word_is_dropped_wherever_it_stands():
  config = dataclasses.replace(GRU, vocab_size=200)
  inputs = np.tile(np.arange(200)[:, None], (2, 1))
  _, x_BTD, _ = outputs(config, inputs, words=0.5)
  once, again = np.split(np.asarray(x_BTD)[:, 0], 2)
  np.testing.assert_array_equal(once, again)
  assert len({row.tobytes() for row in once}) < 150  # The dropped are equal.


def test_half_precision_keeps_float32_where_it_counts():
  params = params_of(GRU)
  got, carry = apply(
      dataclasses.replace(GRU, dtype='bfloat16'), params, BATCH['inputs'])
  want, _ = apply(GRU, params, BATCH['inputs'])
  assert got.dtype == jnp.float32
  assert {x.dtype for x in jax.tree.leaves(carry)} == {jnp.dtype('float32')}
  assert np.abs(got - want).max() < 0.2 * want.std()


def test_config_survives_json_and_flags(styled):
  config, _ = styled
  tree = config_lib.to_dict(config)
  assert config_lib.freeze(lstm.RecurrentConfig, tree) == config
  changed = overrides.override(
      config, {'cell.kind': 'GRUConfig', 'cell.hidden': '9'})
  kept = isinstance(config.cell, recurrent.GRUConfig)
  assert changed.cell == (
      dataclasses.replace(config.cell, hidden=9) if kept
      else recurrent.GRUConfig(9))


@pytest.mark.parametrize('change, message', [
    ({'width': 0}, 'RecurrentConfig.width should be at least 1; got 0'),
    ({'last_hidden': 0}, 'RecurrentConfig.last_hidden should be'),
    ({'init_scale': -1.0}, 'RecurrentConfig.init_scale should be above 0'),
])
def test_impossible_models_are_refused(change, message):
  with pytest.raises(errors.InputError, match=message):
    dataclasses.replace(ZAREMBA, **change)


def test_impossible_rates_and_vocabularies_are_refused():
  with pytest.raises(errors.InputError, match='Dropout.between should'):
    lstm.Dropout(between=1.0)
  with pytest.raises(errors.InputError, match='with_vocab'):
    lstm.RecurrentConfig().build()
  with pytest.raises(errors.InputError, match='has 18 ids'):
    ZAREMBA.with_vocab(18)
  assert lstm.RecurrentConfig().with_vocab(5).vocab_size == 5
