"""Named sizes are the published ones, and small ones are right to the bit."""
import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from lmjax.core import config as config_lib
from lmjax.core.flags import overrides
from lmjax.core import trees
from lmjax.models import MODELS
from lmjax.models import decoder
from lmjax.models import parts
from lmjax.models.presets import decoders
from lmjax.nn import block
from lmjax.nn import layers
from lmjax.nn.mixture import experts
from lmjax.nn import positions
from lmjax.testing import hot
from tests.reference import decoders as plain
from tests.reference import ends
from tests.reference import measured

PUBLISHED = {  # Parameters, as counted in the weights on the Hugging Face Hub.
    'gpt2': 124_439_808,
    'gpt2_medium': 354_823_168,
    'gpt2_large': 774_030_080,
    'gpt2_xl': 1_557_611_200,
    'opt_125m': 125_239_296,
    'opt_350m': 331_196_416,
    'opt_1_3b': 1_315_758_080,
    'bloom_560m': 559_214_592,
    'llama3_8b': 8_030_261_248,
    'llama3_1_8b': 8_030_261_248,
    'smollm2_135m': 134_515_008,
    'smollm2_360m': 361_821_120,
    'smollm2_1_7b': 1_711_376_384,
    'smollm3_3b': 3_075_098_624,
    'mistral_7b': 7_241_732_096,
    'phi3_mini': 3_821_079_552,
    'qwen2_5_0_5b': 494_032_768,
    'qwen3_0_6b': 596_049_920,
    'qwen3_8b': 8_190_735_360,
    'mixtral_8x7b': 46_702_792_704,
}
IDS = np.random.default_rng(0).integers(0, 61, (1, 48)).astype(np.int32)


def shapes_of(config):
  return jax.eval_shape(
      config.build().init, jax.random.key(0), jnp.zeros((1, 4), jnp.int32))[
          'params']


def test_every_published_size_is_checked():
  ours = {'tiny_gpt2', 'tiny_llama'}
  assert decoders.PRESETS.keys() - ours == PUBLISHED.keys()
  assert MODELS['DecoderConfig'] is decoder.DecoderConfig


@pytest.mark.parametrize('name', PUBLISHED)
def test_full_size_has_the_published_number_of_parameters(name):
  # Scanned, one block is traced instead of dozens.
  config = dataclasses.replace(decoders.PRESETS[name], scan=True)
  assert trees.count(shapes_of(config)) == PUBLISHED[name]


def test_a_token_uses_the_published_part_of_a_mixture():
  config = dataclasses.replace(decoders.PRESETS['mixtral_8x7b'], scan=True)
  active = experts.active_parameters(shapes_of(config), config.block.mlp)
  assert active == 12_879_925_248  # Published as 12.9B of 46.7B.


@pytest.mark.parametrize('name', ['gpt2', 'smollm2_135m'])
def test_looped_has_as_many_as_scanned(name):
  assert trees.count(shapes_of(decoders.PRESETS[name])) == PUBLISHED[name]


@pytest.mark.parametrize('name', decoders.PRESETS)
def test_survives_json_and_flags(name):
  preset = decoders.PRESETS[name]
  tree = config_lib.to_dict(preset)
  assert config_lib.freeze(decoder.DecoderConfig, tree) == preset
  changed = overrides.override(
      preset, {'num_layers': '1', 'block.mixer.window': '8'})
  assert (changed.num_layers, changed.block.mixer.window) == (1, 8)
  assert changed.positions == preset.positions


@pytest.mark.parametrize('name', ['tiny_gpt2', 'tiny_llama'])
def test_toys_are_about_a_million_parameters(name):
  config = decoders.PRESETS[name].with_vocab(256)
  assert 0.8e6 < trees.count(shapes_of(config)) < 1.2e6


# -- parity with independent implementations, on hot weights

SMALL = {name: dataclasses.replace(config, vocab_size=61) for name, config in {
    'opt': decoders.post_norm_opt(32, 2, 4, 12),
    'bloom': decoders.bloom(32, 2, 4),
    'smollm3': decoders.smollm3(
        32, 4, 4, 2, 48, vocab_size=None, context=64, theta=500.0),
}.items()}


def reference(name, params):
  """Returns what a head reads, [T, D], by plain float64."""
  def attend(i, x_TD, p):
    if name != 'smollm3':
      slopes = 2.0 ** (-2 * np.arange(1, 5)) if name == 'bloom' else None
      return plain.attention(x_TD, p, 4, slopes=slopes)
    turn = functools.partial(plain.turned, theta=500.0, size=8)
    return plain.attention(x_TD, p, 4, 2, turn=turn if i < 3 else None)

  ids = IDS[0]
  if name == 'smollm3':
    return plain.hidden(
        params, ends.embedded(params, params, ids), 'pre', attend=attend,
        norm=functools.partial(plain.rms_norm, epsilon=1e-5),
        activation=plain.silu)
  how = dict(epsilon=1e-5) if name == 'bloom' else dict(
      widened='first', offset=2)
  return plain.hidden(
      params, ends.embedded(params, params, ids, **how),
      'pre' if name == 'bloom' else 'post', attend=attend,
      norm=plain.layer_norm,
      activation=plain.gelu_tanh if name == 'bloom' else plain.relu)


def plain_error(name, **changes):
  """Returns the largest error of the logits, over their deviation."""
  params = jax.device_get(hot.hot_params(shapes_of(SMALL[name])))
  want = ends.logits(
      params.get('head', {}), params, reference(name, params), tied=True)
  config = dataclasses.replace(SMALL[name], **changes)
  return measured.logits_error(config, params, IDS[0], want)


@pytest.mark.parametrize('name', SMALL)
def test_logits_are_those_of_plain_loops(name):
  assert plain_error(name) < 5e-5


@pytest.mark.slow
@pytest.mark.parametrize('name, changes', [
    ('opt', dict(block=block.PostNorm(**vars(decoders.bloom(32, 2, 4).block)))),
    ('bloom', dict(embed=parts.Embed(norm=layers.LayerNorm(epsilon=1e-4)))),
    ('bloom', dict(positions=positions.NoPositions())),
    ('smollm3', dict(pattern=None)),
])
def test_plain_loops_detect_a_small_change(name, changes):
  assert plain_error(name, **changes) > 2e-4


GPT2 = decoders.gpt2(32, 2, 4, vocab_size=61, context=64)
LLAMA = decoders.llama(
    32, 2, 4, 2, 48, vocab_size=61, context=64, theta=500.0, tied=False,
    head_size=12, qk_norm=True, epsilon=1e-5)


def replace(config, path, value):
  """Returns the config with the field at `path` replaced."""
  name, _, rest = path.partition('.')
  if rest:
    value = replace(getattr(config, name), rest, value)
  return dataclasses.replace(config, **{name: value})


def relative_error(config, name, mutated=None):
  """Returns the largest error of the logits, over their deviation."""
  pytest.importorskip('torch')
  from tests.reference import torch_decoders
  params = jax.device_get(hot.hot_params(shapes_of(config)))
  if name == 'gpt2':
    want = torch_decoders.gpt2(params, IDS[0], num_layers=2, num_heads=4)
  else:
    want = torch_decoders.llama(
        params, IDS[0], num_layers=2, num_heads=4, num_kv_heads=2,
        head_size=12, theta=500.0, epsilon=1e-5, qk_norm=True)
  model = (mutated or config).build()
  got, _ = jax.jit(model.apply)({'params': params}, IDS)
  return np.abs(got[0] - want).max() / want.std()


@pytest.mark.parametrize('name, config', [('gpt2', GPT2), ('llama', LLAMA)])
def test_logits_are_those_of_an_independent_implementation(name, config):
  assert relative_error(config, name) < 5e-5


@pytest.mark.slow
@pytest.mark.parametrize('name, config, path, value', [
    ('gpt2', GPT2, 'block.norm', layers.LayerNorm(epsilon=1e-6)),
    ('gpt2', GPT2, 'final_norm', layers.LayerNorm(epsilon=1e-3)),
    ('gpt2', GPT2, 'block.mlp.activation', 'gelu'),
    ('gpt2', GPT2, 'block.mixer.scale', 1.0),
    ('gpt2', GPT2, 'block.mixer.window', 40),
    ('gpt2', GPT2, 'block.mixer.softcap', 50.0),
    ('gpt2', GPT2, 'embed.scale', 'sqrt_width'),
    ('gpt2', GPT2, 'head.softcap', 30.0),
    ('llama', LLAMA, 'positions', positions.Rotary(theta=500.1)),
    ('llama', LLAMA, 'positions', positions.Rotary(theta=500.0, fraction=0.5)),
    ('llama', LLAMA, 'positions', positions.NoPositions()),
    ('llama', LLAMA, 'block.norm', layers.RMSNorm(epsilon=1e-6)),
    ('llama', LLAMA, 'block.mixer.qk_norm', layers.RMSNorm(epsilon=1e-4)),
    ('llama', LLAMA, 'block.mixer.scale', 32 ** -0.5),
    ('llama', LLAMA, 'block.mlp.activation', 'gelu'),
    ('llama', LLAMA, 'block.mlp.gated', False),
])
def test_parity_detects_a_small_change(name, config, path, value):
  mutated = replace(config, path, value)
  assert relative_error(config, name, mutated) > 2e-4
