"""Values at named places in every layout of a model, without cost if unused."""
import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import errors
from lmjax.core import layouts
from lmjax.core import placement
from lmjax.models import cost
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import encoders
from lmjax.nn import taps
from lmjax.parallel import sharding
from lmjax.testing import hot

LOOPED = decoders.gpt2(16, 2, 2, vocab_size=13, context=16)
SCANNED = dataclasses.replace(LOOPED, scan=True)
PARAMS = hot.hot_params(cost.shapes(LOOPED))
STACKED = layouts.like(PARAMS, cost.shapes(SCANNED))
IDS = np.random.default_rng(0).integers(0, 13, (4, 6)).astype(np.int32)
NAMES = ('embedding', 'input', 'after_mixer', 'after_mlp', 'queries', 'keys',
         'values', 'weights', 'final', 'logits')


@pytest.fixture(scope='module')
def looped():
  """The looped model's output and values, without jit."""
  return taps.capture(LOOPED.build(), NAMES)(PARAMS, IDS)


def same(got, want):
  jax.tree.map(lambda a, b: np.testing.assert_allclose(
      a, b, rtol=1e-5, atol=1e-5), got, want)


@pytest.mark.slow
def test_every_place_has_the_value_of_its_name(looped):
  (logits, _), values = looped
  first, last = values['layer_0'], values['layer_1']
  assert set(first) == {'input', 'after_mixer', 'after_mlp', 'mixer'}
  assert set(first['mixer']) == {'queries', 'keys', 'values', 'weights'}
  np.testing.assert_array_equal(values['logits'], logits)
  np.testing.assert_array_equal(first['input'], values['embedding'])
  np.testing.assert_array_equal(last['input'], first['after_mlp'])
  np.testing.assert_allclose(
      nn.LayerNorm(epsilon=1e-5).apply(
          {'params': PARAMS['final_norm']}, last['after_mlp']),
      values['final'], atol=1e-5)
  weights, v = last['mixer']['weights'], last['mixer']['values']
  assert weights.shape == (4, 2, 6, 6)
  np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
  assert (np.triu(weights, 1) == 0).all()
  mixed = np.einsum('BNTS,BSNH->BTNH', weights, v).reshape(4, 6, 16)
  out = jax.device_get(PARAMS['layer_1']['mixer']['out'])
  np.testing.assert_allclose(
      np.asarray(last['input']) + mixed @ out['kernel'] + out['bias'],
      last['after_mixer'], atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize('remat', ['none', 'full'])
def test_a_scanned_model_gives_the_same_values_under_jit(looped, remat):
  model = dataclasses.replace(SCANNED, remat=remat).build()
  (logits, _), values = jax.jit(taps.capture(model, NAMES))(STACKED, IDS)
  np.testing.assert_allclose(logits, looped[0][0], atol=1e-5)
  assert values['layers']['input'].shape == (2, 4, 6, 16)
  same(layouts.looped(values), looped[1])


@pytest.mark.slow
def test_values_can_be_read_within_a_gradient(looped):
  model = dataclasses.replace(LOOPED, remat='full').build()
  def loss(params):
    (logits, _), values = taps.capture(model, NAMES)(params, IDS)
    return jnp.sum(logits ** 2), values
  _, values = jax.jit(jax.grad(loss, has_aux=True))(PARAMS)
  same(values, looped[1])


@pytest.mark.parametrize('sizes, parts', [
    ('stage:2', 2), pytest.param('stage:2,data:2', 4, marks=pytest.mark.slow)])
def test_layers_on_different_devices_give_the_same_values(
    looped, sizes, parts):
  sizes = sharding.parse(sizes)
  shape = tuple(sizes.values())
  mesh = jax.sharding.Mesh(
      np.array(jax.devices()[:np.prod(shape)]).reshape(shape), sharding.AXES,
      axis_types=(jax.sharding.AxisType.Auto,) * len(shape))
  def read(params, patches=None):
    with placement.divided(mesh, sharding.LOGICAL, parts):
      return taps.capture(
          SCANNED.build(), NAMES, patches=patches)(params, IDS)
  (logits, _), values = jax.jit(read)(STACKED)
  np.testing.assert_allclose(logits, looped[0][0], atol=1e-5)
  same(layouts.looped(values), looped[1])
  patches = {'layers': {'input': taps.Patch(jnp.zeros((2, 4, 6, 16)))}}
  with pytest.raises(errors.InputError, match='read but not written'):
    jax.eval_shape(read, STACKED, patches)


@pytest.mark.parametrize('config, params', [
    (LOOPED, PARAMS), (SCANNED, STACKED)], ids=['looped', 'scanned'])
def test_taps_that_are_not_read_leave_the_program_unchanged(
    config, params, monkeypatch):
  def program():
    model = config.build()
    return str(jax.make_jaxpr(lambda p: model.apply({'params': p}, IDS))(
        params))
  tapped = program()
  monkeypatch.setattr(taps, 'tap', lambda module, name, x: x)
  assert program() == tapped


@pytest.mark.parametrize('scan', [False, pytest.param(
    True, marks=pytest.mark.slow)])
def test_a_patch_replaces_values_where_its_mask_is_true(scan, looped):
  """The last token's stream in layer 1 decides its prediction alone."""
  other = taps.capture(LOOPED.build(), ['input'])(PARAMS, IDS[::-1])
  model = (SCANNED if scan else LOOPED).build()
  places = {'layer_1': {'input': taps.Patch(
      other[1]['layer_1']['input'], (jnp.arange(6) == 5)[None, :, None])}}
  if scan:
    both = other[1]['layer_0']['input'], other[1]['layer_1']['input']
    where = jnp.zeros((2, 1, 6, 1), bool).at[1, :, 5].set(True)
    places = {'layers': {'input': taps.Patch(jnp.stack(both), where)}}
  (logits, _), values = jax.jit(taps.capture(
      model, ['input'], patches=places))(STACKED if scan else PARAMS, IDS)
  values = layouts.looped(values) if scan else values
  before, after = looped[1]['layer_1']['input'], values['layer_1']['input']
  np.testing.assert_allclose(after[:, :5], before[:, :5], atol=1e-5)
  np.testing.assert_allclose(
      after[:, 5], other[1]['layer_1']['input'][:, 5], atol=1e-5)
  np.testing.assert_allclose(logits[:, :5], looped[0][0][:, :5], atol=1e-5)
  assert not np.allclose(logits[:, 5], looped[0][0][:, 5], atol=0.1)


def test_attention_weights_are_written(looped):
  """Averaging by the weights that were read changes nothing; others do."""
  weights = looped[1]['layer_0']['mixer']['weights']
  def write(value):
    patches = {'layer_0': {'mixer': {'weights': taps.Patch(value)}}}
    return taps.capture(
        LOOPED.build(), [], patches=patches)(PARAMS, IDS)[0][0]
  np.testing.assert_allclose(write(weights), looped[0][0], atol=1e-5)
  alone = jnp.broadcast_to(jnp.eye(6)[None, None], weights.shape)
  assert not np.allclose(write(alone), looped[0][0], atol=0.1)


def test_an_unknown_place_is_refused():
  with pytest.raises(errors.InputError, match='Decoder has no place .* middle'):
    taps.capture(LOOPED.build(), ['input', 'middle'])(PARAMS, IDS)


@pytest.mark.slow
def test_every_family_of_transformers_has_the_places():
  reader = encoder_decoders.t5(16, 1, 2, 24, vocab_size=13, context=16)
  (logits, _), values = taps.capture(reader.build(), NAMES)(
      hot.hot_params(cost.shapes(reader)), IDS)
  np.testing.assert_array_equal(values['logits'], logits)
  layer = values['decoder']['layer_0']
  assert layer['cross']['weights'].shape == (4, 2, 6, 6)
  assert values['encoder']['final'].shape == layer['after_mlp'].shape
  both_ways = encoders.bert(16, 1, 2, vocab_size=13, context=16)
  (logits, _), values = taps.capture(both_ways.build(), NAMES)(
      hot.hot_params(cost.shapes(both_ways)), IDS)
  np.testing.assert_array_equal(values['logits'], logits)
  assert values['layer_0']['mixer']['weights'].min() > 0
