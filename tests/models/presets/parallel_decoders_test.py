"""Named sizes are the published ones, and small ones are the reference's."""
import dataclasses
import functools

import jax
import numpy as np
import pytest

from lmjax.models import cost
from lmjax.models.presets import parallel_decoders as presets
from lmjax.nn import layers
from lmjax.nn import positions
from lmjax.testing import hot
from tests.reference import decoders
from tests.reference import ends
from tests.reference import measured

PUBLISHED = {
    # As counted by PyTorch, of the weights on the Hugging Face Hub.
    'gptj_6b': 6_050_882_784,
    # The model card of EleutherAI/gpt-neox-20b.
    'gpt_neox_20b': 20_554_567_680,
    # The model cards of EleutherAI/pythia-*, 'total params'.
    'pythia_70m': 70_426_624,
    'pythia_160m': 162_322_944,
    'pythia_410m': 405_334_016,
    'pythia_1b': 1_011_781_632,
    'pythia_1_4b': 1_414_647_808,
    'pythia_2_8b': 2_775_208_960,
    'pythia_6_9b': 6_857_302_016,
    'pythia_12b': 11_846_072_320,
    # Metadata of the safetensors of microsoft/phi-2.
    'phi_2': 2_779_683_840,
    # Likewise of tiiuae/falcon-7b, less the table, which is there twice.
    'falcon_7b': 7_217_189_760 - 65024 * 4544,
}
IDS = np.random.default_rng(0).integers(0, 61, 40)
SMALL = {
    'neox': presets.neox(32, 2, 2, vocab_size=61),
    'gptj': presets.gptj(32, 2, 2, vocab_size=61, turned=4),
    'phi': presets.phi(32, 2, 2, vocab_size=61, fraction=0.5),
    'falcon': presets.falcon(32, 2, 4, vocab_size=61),
}
# Activation, dimensions that turn, how they are paired, and key heads.
STYLES = {
    'neox': (decoders.gelu, 4, False, 2),
    'gptj': (decoders.gelu_tanh, 4, True, 2),
    'phi': (decoders.gelu_tanh, 8, False, 2),
    'falcon': (decoders.gelu, 8, False, 1),
}


def test_every_size_is_checked():
  assert presets.PRESETS.keys() == PUBLISHED.keys()


@pytest.mark.parametrize('name', PUBLISHED)
def test_full_size_has_the_published_number_of_parameters(name):
  assert measured.parameters(presets.PRESETS[name]) == PUBLISHED[name]


def relative_error(name, **changes):
  """Returns the largest error of the logits, over their deviation."""
  params = jax.device_get(hot.hot_params(cost.shapes(SMALL[name])))
  activation, size, interleaved, kv_heads = STYLES[name]
  turn = functools.partial(
      decoders.turned, theta=10_000.0, size=size, interleaved=interleaved)
  x_TD = decoders.hidden(
      params, ends.embedded(params, params, IDS), 'parallel',
      norm=decoders.layer_norm, activation=activation,
      attend=lambda i, x_TD, p: decoders.attention(
          x_TD, p, SMALL[name].block.mixer.num_heads, kv_heads, turn=turn))
  want = ends.logits(
      params.get('head', {}), params, x_TD, tied=name == 'falcon')
  config = dataclasses.replace(SMALL[name], **changes)
  return measured.logits_error(config, params, IDS, want)


@pytest.mark.parametrize('name', [
    'neox', 'gptj', *(pytest.param(name, marks=pytest.mark.slow)
                      for name in ('phi', 'falcon'))])
def test_logits_are_those_of_the_reference(name):
  assert relative_error(name) < 5e-5


@pytest.mark.slow
@pytest.mark.parametrize('name, changes', [
    ('neox', dict(positions=positions.Rotary(fraction=0.375))),
    ('neox', dict(final_norm=layers.LayerNorm(epsilon=1e-3))),
    ('gptj', dict(positions=positions.Rotary(fraction=0.25))),
])
def test_parity_detects_a_small_change(name, changes):
  assert relative_error(name, **changes) > 2e-4
