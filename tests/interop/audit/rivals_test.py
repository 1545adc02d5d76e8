"""Every part of a model has its rivals, and every rival can be run."""
import dataclasses

import jax
import pytest

from lmjax.core import config as config_lib
from lmjax.interop.audit import rivals
from lmjax.models import cost
from lmjax.models.presets import branch_norm_decoders
from lmjax.models.presets import decoders
from lmjax.models.presets import encoder_decoders
from lmjax.models.presets import encoders
from lmjax.models.presets import parallel_decoders
from lmjax.models import xlnet
from lmjax.nn import layers

MODELS = {
    'gpt2': decoders.gpt2(16, 2, 4, vocab_size=9, context=32),
    'opt': dataclasses.replace(decoders.opt(16, 2, 4), context=32),
    'llama': decoders.llama(
        32, 2, 4, 2, 24, vocab_size=9, context=32, tied=False),
    'smollm3': decoders.smollm3(
        16, 4, 4, 2, 24, vocab_size=9, context=32),
    'mixtral': decoders.mixtral(
        16, 2, 4, 2, 24, vocab_size=9, context=32, num_experts=4),
    'neox': parallel_decoders.neox(32, 2, 2, vocab_size=9),
    'gptj': parallel_decoders.gptj(32, 2, 2, vocab_size=9, turned=8),
    'falcon': parallel_decoders.falcon(32, 2, 4, vocab_size=9),
    'gemma3': branch_norm_decoders.gemma3(
        16, 6, 4, 2, 24, vocab_size=9, context=32, head_size=8, window=8),
    'olmo2': branch_norm_decoders.olmo2(16, 2, 2, 24, vocab_size=9),
    'granite': branch_norm_decoders.granite(16, 2, 4, 2, 24, vocab_size=9),
    'bert': encoders.bert(16, 2, 2, vocab_size=9),
    'albert': encoders.albert(16, 2, 2, vocab_size=9, size=8),
    'modernbert': encoders.modernbert(16, 4, 2, 24, vocab_size=9),
    't5': encoder_decoders.t5(16, 2, 2, 24, vocab_size=9, head_size=8),
    'bart': encoder_decoders.bart(16, 2, 2, vocab_size=9, context=30),
    'xlnet': xlnet.XLNetConfig(
        vocab_size=9, width=16, num_layers=2, num_heads=2, hidden=24),
}


def model(name):
  config = MODELS[name]
  return rivals.plain(config, jax.tree.map(
      lambda leaf: jax.numpy.zeros(leaf.shape), cost.shapes(config)))


def shapes(tree):
  return jax.tree.map(lambda leaf: leaf.shape, tree)


@pytest.mark.slow
@pytest.mark.parametrize('name', MODELS)
def test_every_rival_fits_its_parameters(name):
  # Another value of the same field seldom has other shapes.
  found = {rival.field: rival for rival in rivals.of(*model(name), 32)}
  assert found
  for rival in found.values():
    config, params = rivals.scanned(rival.config, rival.params)
    assert shapes(cost.shapes(config)) == shapes(params), rival


@pytest.mark.parametrize('name', ['llama', 'gpt2'])
def test_rivals_have_names_of_their_own(name):
  found = [(rival.field, rival.what) for rival in rivals.of(*model(name), 32)]
  assert len(set(found)) == len(found)


@pytest.mark.parametrize('name', ['llama'])
def test_a_part_changes_everywhere_at_once(name):
  found = {rival.what: rival.config for rival in rivals.of(*model(name), 32)
           if rival.field == 'block.norm.epsilon'}
  for config in found.values():
    assert config.block.norm == config.final_norm


def test_parts_are_found_inside_tuples():
  paths = [path for path, _ in rivals.parts(MODELS['smollm3'])]
  assert {'block.mixer', 'pattern.period.3.positions'} <= set(paths)


def test_models_are_read_in_float32_and_in_a_loop():
  config = dataclasses.replace(
      MODELS['gpt2'], dtype='bfloat16', scan=True, remat='full')
  plain, params = rivals.plain(config, {
      'layers': {'bias': jax.numpy.zeros((2, 3))}})
  assert plain == MODELS['gpt2']
  assert set(params) == {'layer_0', 'layer_1'}


def test_replacing_keeps_all_other_parts():
  config = MODELS['llama']
  changed = rivals.replaced(
      config, config.final_norm, layers.RMSNorm(epsilon=0.5))
  assert changed.final_norm.epsilon == 0.5
  assert config_lib.to_dict(changed)['positions'] == config_lib.to_dict(
      config)['positions']
