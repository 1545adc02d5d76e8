"""Named sizes are the published ones, and small ones are right to the bit."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.core.flags import overrides
from lmjax.core import trees
from lmjax.models import encoder_decoder
from lmjax.models.presets import encoder_decoders as presets
from lmjax.nn import layers
from lmjax.nn import positions
from lmjax.testing import hot

PUBLISHED = {  # Parameters, as counted in the released weights.
    'transformer_base': 63_045_632,  # The paper rounds to 65 million.
    't5_small': 60_506_624,
    't5_base': 222_903_552,
    't5_1_1_small': 76_961_152,
    't5_1_1_base': 247_577_856,
    'mt5_small': 300_176_768,
    'bart_base': 139_420_416,
    'bart_large': 406_291_456,
}
READ = np.random.default_rng(0).integers(0, 61, 40).astype(np.int32)
WRITTEN = np.random.default_rng(1).integers(0, 61, 24).astype(np.int32)
FEW = positions.Relative(8, 20)
TRANSFORMER = presets.transformer(
    32, 2, 4, 48, vocab_size=61, context=64)
T5 = dataclasses.replace(presets.t5(
    32, 2, 4, 48, vocab_size=61, head_size=6, version='1.0'), positions=FEW)
T5_1_1 = dataclasses.replace(presets.t5(
    32, 2, 4, 48, vocab_size=61, head_size=6), positions=FEW)
SMALL = {'transformer': TRANSFORMER, 't5': T5, 't5_1_1': T5_1_1,
         'bart': presets.bart(32, 2, 4, vocab_size=61, context=64)}


def shapes_of(config):
  return jax.eval_shape(
      config.build().init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))[
          'params']


def test_every_published_size_is_checked():
  assert presets.PRESETS.keys() - {'tiny_t5'} == PUBLISHED.keys()


@pytest.mark.parametrize('name', PUBLISHED)
def test_full_size_has_the_published_number_of_parameters(name):
  # Scanned, one block is traced instead of dozens.
  config = dataclasses.replace(presets.PRESETS[name], scan=True)
  assert trees.count(shapes_of(config)) == PUBLISHED[name]


def test_t5_drops_hidden_units_too():
  config = presets.t5(32, 2, 4, 48, vocab_size=61, dropout=0.1)
  assert config.block.mlp.dropout == config.block.dropout == 0.1
  assert presets.PRESETS['t5_small'].block.mlp.dropout == 0.0
  assert presets.PRESETS['transformer_base'].block.mlp.dropout == 0.0


def test_looped_has_as_many_as_scanned():
  assert trees.count(shapes_of(presets.PRESETS['t5_small'])) == (
      PUBLISHED['t5_small'])


@pytest.mark.parametrize('name', presets.PRESETS)
def test_survives_json_and_flags(name):
  preset = presets.PRESETS[name]
  tree = config_lib.to_dict(preset)
  kind = encoder_decoder.EncoderDecoderConfig
  assert config_lib.freeze(kind, tree) == preset
  changed = overrides.override(preset, {'num_decoder_layers': '1'})
  assert changed == dataclasses.replace(preset, num_decoder_layers=1)


def relative_error(name, mutated=None):
  """Returns the largest error of the logits, over their deviation."""
  pytest.importorskip('torch')
  from tests.reference import torch_encoder_decoders
  config = SMALL[name]
  params = jax.device_get(hot.hot_params(shapes_of(config)))
  if name in ('transformer', 'bart'):
    want = getattr(torch_encoder_decoders, name)(
        params, READ, WRITTEN, num_layers=2, num_heads=4)
  else:
    want = torch_encoder_decoders.t5(
        params, READ, WRITTEN, num_layers=2, num_heads=4,
        gated=name == 't5_1_1', buckets=8, furthest=20)
  model = (mutated or config).build()
  got, _ = jax.jit(model.apply)(
      {'params': params}, WRITTEN[None], encoder_inputs_BS=READ[None])
  return np.abs(got[0] - want).max() / want.std()


@pytest.mark.parametrize('name', SMALL)
def test_logits_are_those_of_an_independent_implementation(name):
  assert relative_error(name) < 5e-5


def replace(config, path, value):
  """Returns the config with the field at `path` replaced."""
  name, _, rest = path.partition('.')
  if rest:
    value = replace(getattr(config, name), rest, value)
  return dataclasses.replace(config, **{name: value})


@pytest.mark.slow
@pytest.mark.parametrize('name, path, value', [
    ('transformer', 'block.norm', layers.LayerNorm(epsilon=1e-3)),
    ('transformer', 'embed.scale', 1.0),
    ('transformer', 'positions', positions.Sinusoidal(theta=9_990.0)),
    ('transformer', 'block.mlp.activation', 'gelu'),
    ('bart', 'block.mlp.activation', 'gelu_tanh'),
    ('bart', 'embed.norm', layers.LayerNorm(epsilon=1e-4)),
    ('bart', 'block.mixer.scale', 0.36),
    ('t5', 'block.mixer.scale', None),
    ('t5', 'head.scale', 1.0),
    ('t5', 'positions', positions.Relative(8, 24)),
    ('t5', 'block.norm', layers.RMSNorm(epsilon=1e-4)),
    ('t5_1_1', 'block.mlp.activation', 'gelu'),
    ('t5_1_1', 'positions', positions.Relative(8, 16)),
    ('t5_1_1', 'block.mixer.softcap', 50.0),
])
def test_parity_detects_a_small_change(name, path, value):
  assert relative_error(name, replace(SMALL[name], path, value)) > 2e-4
