"""Named encoders have the published sizes, and small ones are right."""
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.core.flags import overrides
from lmjax.core import trees
from lmjax.models import encoder
from lmjax.models.presets import encoders
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn import pattern
from lmjax.nn import positions
from lmjax.testing import hot

BARE = {  # Parameters up to the pooler, where there is one, without heads.
    'bert_base': 109_482_240,
    'bert_large': 335_141_888,
    'distilbert': 66_362_880,
    'roberta_base': 124_055_040,
    'roberta_large': 355_359_744 - (1024 + 1) * 1024,  # Has no pooler.
    'xlm_r_base': 278_043_648 - (768 + 1) * 768,
    'albert_base': 11_683_584,
    'albert_large': 17_683_968,
    'electra_small': 13_483_008,
    'electra_base': 108_891_648,
    'electra_small_generator': 4_580_928,
    'modernbert_base': 149_014_272,
    'modernbert_large': 394_781_696,
    'modern_encoder_base': 149_014_272 + 768,  # See `modern`.
}
PRETRAINING = {  # With the heads of pretraining.
    'bert_base': 110_106_428,
    'bert_large': 336_226_108,
    'distilbert': 66_985_530,
    'roberta_base': 124_697_433,
    'roberta_large': 355_412_057,
    'xlm_r_base': 278_295_186,
    'albert_base': 11_813_810,
    # As published without heads, and those: transform, norm, bias; pairs.
    'albert_large': 17_683_968 + 1025 * 128 + 2 * 128 + 30_000 + 1025 * 2,
    'electra_small': 13_549_057,
    'electra_base': 108_891_648 + (768 + 1) * 768 + (768 + 1),
    'electra_small_generator': 4_620_026,
    'modernbert_base': 149_655_232,
    # As published without heads, and those: transform, norm, bias.
    'modernbert_large': 394_781_696 + 1024 * 1024 + 1024 + 50_368,
    'modern_encoder_base': 149_655_232 + 768,
}
RNG = np.random.default_rng(0)
IDS = RNG.integers(0, 61, (1, 40)).astype(np.int32)
TYPES = (np.arange(40) > 22).astype(np.int32)[None]


def shapes_of(config):
  return jax.eval_shape(
      config.build().init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))[
          'params']


def test_every_published_size_is_checked():
  ours = {'tiny_bert', 'tiny_modern'}
  names = encoders.PRESETS.keys() - ours
  assert names == BARE.keys() == PRETRAINING.keys()


@pytest.mark.parametrize('name', BARE)
def test_full_size_has_the_published_number_of_parameters(name):
  # One block is traced instead of dozens.
  preset = dataclasses.replace(encoders.PRESETS[name], scan=True)
  assert trees.count(shapes_of(preset)) == PRETRAINING[name]
  pooler = preset.pooler and encoder.Pooler(pairs=False)
  bare = dataclasses.replace(preset, tokens=None, replaced=None, pooler=pooler)
  assert trees.count(shapes_of(bare)) == BARE[name]


def test_roberta_with_a_pooler_has_the_size_often_quoted():
  config = encoders.roberta(
      768, 12, 12, tokens=None, pooler=encoder.Pooler(pairs=False), scan=True)
  assert trees.count(shapes_of(config)) == 124_645_632


@pytest.mark.parametrize('name', encoders.PRESETS)
def test_survives_json_and_flags(name):
  preset = encoders.PRESETS[name]
  tree = config_lib.to_dict(preset)
  assert config_lib.freeze(encoder.EncoderConfig, tree) == preset
  changed = overrides.override(
      preset, {'num_layers': '1', 'pooler.kind': 'Pooler'})
  assert changed.num_layers == 1 and changed.pooler is not None


@pytest.mark.parametrize('name', ['tiny_bert', 'tiny_modern'])
def test_toys_are_below_a_million_parameters(name):
  config = encoders.PRESETS[name].with_vocab(256)
  assert 0.7e6 < trees.count(shapes_of(config)) < 1.0e6


# -- parity with independent implementations, on hot weights

BERT = encoders.bert(32, 2, 4, vocab_size=61, context=48)
ROBERTA = encoders.roberta(
    32, 2, 4, vocab_size=61, context=48, pooler=encoder.Pooler(), types=2)
ALBERT = encoders.albert(
    32, 3, 4, vocab_size=61, context=48, size=12)
SMALL = dict(
    vocab_size=61, context=48, pattern=pattern.LocalGlobal(
        window=6, every=3, global_layer='first',
        local_positions=positions.Rotary(theta=50.0)),
    positions=positions.Rotary(theta=900.0))
MODERN = encoders.modern(32, 4, 4, 24, **SMALL)
STYLES = {
    'bert': BERT, 'roberta': ROBERTA, 'albert': ALBERT, 'modern': MODERN,
    'modernbert': encoders.modernbert(32, 4, 4, 24, **SMALL)}


def reference(name, params):
  from tests.reference import torch_encoders
  if name in ('modern', 'modernbert'):
    return torch_encoders.modern(
        params, IDS[0], num_layers=4, num_heads=4, window=6, every=3,
        theta=900.0, local_theta=50.0),
  settings = {
      'bert': dict(num_layers=2), 'roberta': dict(
          num_layers=2, epsilon=1e-5, offset=2),
      'albert': dict(num_layers=3, activation='gelu_tanh')}[name]
  return torch_encoders.bert(
      params, IDS[0], TYPES[0], num_heads=4, **settings)


def relative_errors(name, mutated=None):
  """Returns the largest error of each output, over its deviation."""
  pytest.importorskip('torch')
  config = STYLES[name]
  params = jax.device_get(hot.hot_params(shapes_of(config)))
  model = (mutated or config).build()

  def outputs(model):
    x_BTD, _ = model.hidden(
        IDS, types_BT=TYPES if config.embed.types else None)
    if config.pooler is None:
      return (model.logits(x_BTD),)
    return model.logits(x_BTD), model.pooled(x_BTD), model.pair_logits(x_BTD)

  got = jax.jit(lambda p: model.apply({'params': p}, method=outputs))(params)
  want = reference(name, params)
  return [np.abs(g[0] - w).max() / w.std() for g, w in zip(got, want)]


@pytest.mark.parametrize('name', [
    pytest.param(name, marks=pytest.mark.slow) if name == 'modern' else name
    for name in STYLES])
def test_outputs_are_those_of_an_independent_implementation(name):
  assert max(relative_errors(name)) < 5e-5


def replace(config, path, value):
  """Returns the config with the field at `path` replaced."""
  name, _, rest = path.partition('.')
  if rest:
    value = replace(getattr(config, name), rest, value)
  return dataclasses.replace(config, **{name: value})


@pytest.mark.slow
@pytest.mark.parametrize('name, path, value', [
    ('bert', 'block.norm', layers.LayerNorm(epsilon=1e-4)),
    ('bert', 'embed.norm', layers.LayerNorm(epsilon=1e-4)),
    ('bert', 'tokens.norm', layers.LayerNorm(epsilon=1e-4)),
    ('bert', 'block.mlp.activation', 'gelu_tanh'),
    ('bert', 'tokens.activation', 'gelu_tanh'),
    ('bert', 'block', block.PreNorm(
        BERT.block.mixer, BERT.block.mlp, BERT.block.norm)),
    ('albert', 'num_layers', 2),
    ('modern', 'positions.theta', 905.0),
    ('modern', 'pattern.local_positions.theta', 50.5),
    ('modern', 'pattern.window', 7),
    ('modern', 'pattern.every', 2),
])
def test_parity_detects_a_small_change(name, path, value):
  mutated = replace(STYLES[name], path, value)
  assert max(relative_errors(name, mutated)) > 2e-4
