"""Plans add up, divide as a mesh does, and refuse what does not divide."""
import dataclasses
import functools
import importlib.util
import io
import pathlib
import subprocess
import sys
import time

import pytest
import rich.console

from lmjax import devices
from lmjax import experiment
from lmjax import plan
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import trees
from lmjax.data import pipeline
from lmjax.models import cost
from lmjax.models import lstm
from lmjax.models import presets
from lmjax.nn import experts
from lmjax.objectives import lm
from lmjax.objectives import mlm
from lmjax.training import optimizers
from lmjax.training import sharding

ROOT = pathlib.Path(__file__).parents[1]
H100 = devices.named('h100')
CONFIG = experiment.Pretrain(
    data=pipeline.DataConfig(batch_size=16),
    model=dataclasses.replace(
        presets.llama(64, 2, 4, 2, 128, vocab_size=256, context=32,
                      tied=False), scan=True),
    optimizer=optimizers.AdamW())


@functools.cache
def planned(mesh='data:1', device=H100, config=CONFIG, **model):
  config = dataclasses.replace(
      config, model=dataclasses.replace(config.model, **model))
  return plan.plan(config, device, sharding.parse(mesh))


def test_one_device_holds_all_and_sends_nothing():
  found = planned()
  count = trees.count(cost.shapes(CONFIG.model))
  assert found.memory['parameters'] == found.memory['gradients'] == 4 * count
  assert found.memory['optimizer'] == pytest.approx(8 * count, abs=100)
  assert found.sent == {} and found.seconds['exchange'] == 0
  assert found.flops == found.model_flops and found.tokens == 16 * 32
  assert found.peak == H100.float32
  assert planned(dtype='bfloat16').peak == H100.bfloat16
  half = dataclasses.replace(CONFIG, optimizer=optimizers.AdamW(
      moments='bfloat16'))
  assert planned(config=half).memory['optimizer'] == pytest.approx(
      4 * count, abs=100)


def test_axes_divide_what_they_say():
  one = planned()
  data, fsdp, tensor = (planned(f'{axis}:2') for axis in sharding.AXES)
  for found in data, fsdp, tensor:
    assert found.model_flops == one.model_flops
    assert found.flops == pytest.approx(one.flops / 2)
    assert found.memory['activations'] < one.memory['activations']
  assert data.memory['parameters'] == one.memory['parameters']
  for found in fsdp, tensor:  # All but the norms' scales is cut.
    assert found.memory['parameters'] == pytest.approx(
        one.memory['parameters'] / 2, rel=0.01)
    assert found.memory['optimizer'] < 0.51 * one.memory['optimizer']
  assert set(fsdp.memory) - set(one.memory) == {'gathered'}


def test_volumes_are_those_of_rings_by_hand():
  params = cost.shapes(CONFIG.model)
  size = 4 * trees.count(params)
  assert planned('data:4').sent == {'data': pytest.approx(2 * 3 / 4 * size)}
  scales = 4 * sum(leaf.size for path, leaf in trees.items(params)
                   if path.endswith('scale'))
  assert planned('fsdp:4').sent == {'fsdp': pytest.approx(
      3 / 4 * (3 * (size - scales) + 2 * scales))}
  # Two sums a block and pass, and those of the embedding and the head.
  assert planned('tensor:2').sent['tensor'] == pytest.approx(
      2 / 2 * (4 * 2 + 2) * 16 * 32 * 64 * 4)


def test_links_are_as_fast_as_their_reach():
  speeds = planned('data:2,fsdp:4,tensor:2').speeds
  assert speeds == {
      'tensor': H100.link, 'fsdp': H100.link, 'data': H100.network}


def test_microbatches_save_activations_and_cost_a_gradient():
  parts = dataclasses.replace(CONFIG, training=dataclasses.replace(
      CONFIG.training, microbatches=4))
  one, four = planned(), planned(config=parts)
  assert four.flops == one.flops
  assert four.memory['gradients'] == 2 * one.memory['gradients']
  assert four.memory['activations'] < 0.5 * one.memory['activations']


def test_bounds_are_the_slowest_and_the_sum():
  found = planned('fsdp:16')
  assert found.best == max(found.seconds.values())
  assert found.worst == sum(found.seconds.values())
  assert found.seconds['exchange'] == pytest.approx(
      found.sent['fsdp'] / H100.network)


def test_llama_3_8b_on_64_chips_is_planned_at_once():
  path = ROOT / 'experiments/configs/llama3_8b.py'
  spec = importlib.util.spec_from_file_location('llama3_8b', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = config_lib.freeze(experiment.Pretrain, module.get_config())
  begun = time.process_time()
  found = plan.plan(config, H100, sharding.parse('fsdp:64'))
  assert time.process_time() - begun < 60
  assert found.fits
  count = 8_030_261_248
  scales = 65 * 4096  # Whole on every device.
  assert found.memory['parameters'] == 4 * ((count - scales) / 64 + scales)
  # 6 for every weight but the embedding's, and 12 L D T of attention.
  per_token = 6 * (count - 128256 * 4096 - scales) + 12 * 32 * 4096 * 8192
  assert found.model_flops == pytest.approx(per_token * found.tokens, rel=1e-4)
  alone = dataclasses.replace(config, data=dataclasses.replace(
      config.data, batch_size=1))
  assert not plan.plan(alone, H100, sharding.parse('data:1')).fits

  file = io.StringIO()
  plan.show(found, 'h100', rich.console.Console(file=file, width=100))
  text = file.getvalue()
  assert 'It fits' in text and 'along fsdp' in text and 'data sheet' in text


@pytest.mark.parametrize('mesh, changes, words', [
    ('data:3', {}, 'batch_size = 16 .* = 3; the nearest that does is 15'),
    ('tensor:3', {}, 'num_heads = 4 does not divide over tensor:3'),
    ('tensor:4', {}, 'num_kv_heads = 2 .* that does is tensor:2'),
    ('data:1', {'vocab_size': None}, 'set --config.model.vocab_size'),
])
def test_what_does_not_divide_is_refused(mesh, changes, words):
  with pytest.raises(errors.InputError, match=words):
    planned(mesh, **changes)


def test_other_models_and_objectives_are_refused():
  config = dataclasses.replace(CONFIG, objective=mlm.MaskedLM())
  with pytest.raises(errors.InputError, match='got MaskedLM'):
    planned(config=config)
  recurrent = dataclasses.replace(
      CONFIG, model=lstm.RecurrentConfig(vocab_size=50))
  assert planned('data:2', config=recurrent).flops > 0
  with pytest.raises(errors.InputError, match='decoders .*RecurrentConfig'):
    planned('tensor:2', config=recurrent)
  mixture = dataclasses.replace(
      CONFIG.model.block, mlp=experts.MixtureOfExperts())
  with pytest.raises(errors.InputError, match='dense MLPs; got Mixture'):
    planned(block=mixture)
  with pytest.raises(errors.InputError, match='got Count'):
    plan.plan(experiment.Count(), H100, sharding.parse('data:1'))


@pytest.mark.slow
def test_the_script_answers_and_refuses_in_a_sentence():
  def run(*flags):
    return subprocess.run(
        [sys.executable, str(ROOT / 'experiments/plan.py'), *flags],
        capture_output=True, text=True, timeout=300, check=False,
        env={'PATH': '/usr/bin:/bin', 'JAX_PLATFORMS': 'cpu', 'HOME': '/tmp'})
  done = run('--device=l4', '--config.model.vocab_size=4096')
  assert done.returncode == 0 and 'It fits' in done.stdout, done.stderr
  for flags, words in ((('--device=h101',), 'choose from'), ((), 'vocab_size'),
                       (('--mesh=date:2',), "Did you mean 'data'")):
    refused = run(*flags)
    assert refused.returncode == 2 and words in refused.stderr
    assert 'Traceback' not in refused.stderr
