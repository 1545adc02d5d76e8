"""Plans add up, divide like a mesh, and refuse sizes that do not divide."""
import dataclasses
import functools
import importlib.util
import io
import math
import pathlib
import subprocess
import sys
import time

import jax
import pytest
import rich.console

from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core import trees
from lmjax.data import pipeline
from lmjax.data.tokenizers import subwords
from lmjax.data.tokenizers import symbols
from lmjax import experiment
from lmjax.models import cost
from lmjax.models import lstm
from lmjax.models.presets import decoders
from lmjax.nn import attend
from lmjax.nn.distributed import divided
from lmjax.nn.mixture import experts
from lmjax.nn import pattern
from lmjax.objectives.encoders import mlm
from lmjax.objectives import lm
from lmjax.parallel import devices
from lmjax.parallel import mesh as mesh_lib
from lmjax.parallel import sharding
from lmjax.planning import compiled as compiled_lib
from lmjax.planning import estimate
from lmjax.training.optimizers import adamw
from lmjax.training import options
from tests.reference import environment

ROOT = pathlib.Path(__file__).parents[2]
H100 = devices.named('h100')
CONFIG = experiment.Pretrain(
    data=pipeline.DataConfig(batch_size=16),
    model=dataclasses.replace(
        decoders.llama(64, 2, 4, 2, 128, vocab_size=256, context=32,
                      tied=False), scan=True),
    optimizer=adamw.AdamW())


@functools.cache
def planned(mesh='data:1', device=H100, config=CONFIG, **model):
  config = dataclasses.replace(
      config, model=dataclasses.replace(config.model, **model))
  return estimate.plan(config, device, sharding.parse(mesh))


@pytest.mark.slow
def test_one_device_holds_all_and_sends_nothing():
  found = planned()
  count = trees.count(cost.shapes(CONFIG.model))
  assert found.memory['parameters'] == found.memory['gradients'] == 4 * count
  assert found.memory['optimizer'] == pytest.approx(8 * count, abs=100)
  assert found.sent == {} and found.seconds['exchange'] == 0
  assert found.flops == found.model_flops and found.tokens == 16 * 32
  assert found.peak == H100.float32
  assert planned(dtype='bfloat16').peak == H100.bfloat16
  half = dataclasses.replace(CONFIG, optimizer=adamw.AdamW(
      moments='bfloat16'))
  assert planned(config=half).memory['optimizer'] == pytest.approx(
      4 * count, abs=100)


@pytest.mark.slow
def test_each_axis_divides_its_arrays():
  one = planned()
  data, fsdp, sequence, tensor = (
      planned(f'{axis}:2') for axis in ('data', 'fsdp', 'sequence', 'tensor'))
  for found in data, fsdp, sequence, tensor:
    assert found.model_flops == one.model_flops
    # A ring computes its logits again on the way back.
    assert found.flops == pytest.approx(
        one.flops / 2, rel=0.05 if found is sequence else 1e-6)
    assert found.memory['activations'] < one.memory['activations']
  for found in data, sequence:
    assert found.memory['parameters'] == one.memory['parameters']
  for found in fsdp, tensor:  # All but the norms' scales is cut.
    assert found.memory['parameters'] == pytest.approx(
        one.memory['parameters'] / 2, rel=0.01)
    assert found.memory['optimizer'] < 0.51 * one.memory['optimizer']
  assert set(fsdp.memory) - set(one.memory) == {'gathered'}


@pytest.mark.slow
def test_bytes_sent_equal_rings_by_hand():
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
  # Keys and values of 8 of 32 tokens, 2 heads of 16: 3 steps forward, 3
  # backward, 4 of gradients; queries, keys, values and results dealt twice.
  keys, queries = 2 * 16 * 8 * 2 * 16 * 4, 16 * 8 * 4 * 16 * 4
  assert planned('sequence:4').sent['sequence'] == pytest.approx(
      2 * 3 / 4 * size + 2 * (10 * keys + 2 * (2 * queries + keys)))


@pytest.mark.slow
def test_two_devices_exchange_only_half_of_the_tokens():
  size = 4 * trees.count(cost.shapes(CONFIG.model))
  # Of 16 of 32 tokens, 2 key and 4 query heads of 16.
  keys, queries = 2 * 16 * 16 * 2 * 16 * 4, 16 * 16 * 4 * 16 * 4
  assert planned('sequence:2').sent['sequence'] == pytest.approx(
      2 * 1 / 2 * size + 2 * (4 * keys + 2 / 2 * (2 * queries + keys)))


@pytest.mark.slow
def test_layers_that_differ_are_counted_separately():
  """A wider MLP first, then a local and a global layer twice over."""
  small = CONFIG.model.block
  wide = dataclasses.replace(small, mlp=dataclasses.replace(
      small.mlp, hidden=256))
  grouped = dataclasses.replace(small, mixer=dataclasses.replace(
      small.mixer, num_kv_heads=4))
  layers = dict(num_layers=5, pattern=pattern.Periodic(
      first=(pattern.Layer(wide),),
      period=(pattern.Layer(), pattern.Layer(grouped))))
  found = planned('fsdp:2', **layers)
  assert found.model_flops == planned(scan=False, **layers).model_flops
  # The largest layer whole, and the next.
  kernels = 64 * (64 + 2 * 32 + 64) + 3 * 64 * 256
  assert found.memory['gathered'] == 2 * 4 * (kernels + 2 * 64)
  size = 4 * trees.count(cost.shapes(dataclasses.replace(
      CONFIG.model, **layers)))
  # As above, of 16 of 32 tokens; two layers have 4 key heads.
  token = 16 * 16 * 16 * 4
  keys, more, queries = 2 * 2 * token, 2 * 4 * token, 4 * token
  assert planned('sequence:2', **layers).sent['sequence'] == pytest.approx(
      2 * 1 / 2 * size + 3 * (4 * keys + 2 * queries + keys)
      + 2 * (4 * more + 2 * queries + more))
  half = planned('tensor:2', **layers)
  assert half.flops == pytest.approx(found.model_flops / 2, rel=1e-6)


def test_links_are_as_fast_as_their_reach():
  speeds = planned('data:2,fsdp:4,tensor:2').speeds
  assert {axis: speeds[axis] for axis in ('tensor', 'fsdp', 'data')} == {
      'tensor': H100.link, 'fsdp': H100.link, 'data': H100.network}


@pytest.mark.slow
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


@pytest.mark.slow
def test_llama_3_8b_on_64_chips_is_planned_at_once():
  path = ROOT / 'experiments/configs/llama3_8b.py'
  spec = importlib.util.spec_from_file_location('llama3_8b', path)
  module = importlib.util.module_from_spec(spec)
  spec.loader.exec_module(module)
  config = config_lib.freeze(experiment.Pretrain, module.get_config())
  begun = time.process_time()
  found = estimate.plan(config, H100, sharding.parse('fsdp:64'))
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
  assert not estimate.plan(alone, H100, sharding.parse('data:1')).fits

  file = io.StringIO()
  estimate.show(found, 'h100', rich.console.Console(file=file, width=100))
  text = file.getvalue()
  assert 'It fits' in text and 'along fsdp' in text and 'data sheet' in text


@pytest.mark.parametrize('mesh, changes, words', [
    ('data:3', {}, 'batch_size = 16 .* = 3; the nearest that does is 15'),
    ('tensor:3', {}, 'num_heads = 4 does not divide over tensor:3'),
    ('stage:2,expert:2', {}, 'not stage and expert; --dry_run'),
    ('sequence:3', {}, '32 tokens do not divide over sequence:3.*is 30'),
    ('tensor:4', {}, 'num_kv_heads = 2 .* that does is tensor:2'),
    ('data:1', {'remat': 'offload'}, 'not of hosts; .*model.remat=dots'),
])
def test_sizes_that_do_not_divide_are_refused(mesh, changes, words):
  with pytest.raises(errors.InputError, match=words):
    planned(mesh, **changes)


@pytest.mark.slow
def test_the_vocabulary_is_the_tokenizers_if_it_is_known_without_text():
  def with_tokenizer(tokenizer, **data):
    return planned(vocab_size=None, config=dataclasses.replace(
        CONFIG, data=dataclasses.replace(
            CONFIG.data, tokenizer=tokenizer, **data)))
  assert with_tokenizer(symbols.Bytes()).memory == planned(
      vocab_size=258).memory
  assert with_tokenizer(
      subwords.SentencePiece(vocab_size=500), specials=('[MASK]',), sentinels=9
  ).memory == planned(vocab_size=510).memory
  with pytest.raises(errors.InputError, match=(
      'Characters depends: set --config.model.vocab_size')):
    with_tokenizer(symbols.Characters())


def test_offload_is_refused():
  config = dataclasses.replace(CONFIG, training=dataclasses.replace(
      CONFIG.training, offload='optimizer'))
  with pytest.raises(errors.InputError, match='not of hosts; .*=none'):
    planned(config=config)


def test_ulysses_is_refused():
  config = dataclasses.replace(CONFIG, training=dataclasses.replace(
      CONFIG.training, sequence='ulysses'))
  with pytest.raises(errors.InputError, match='supports rings; .*--compile'):
    planned('sequence:2', config=config)


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
    estimate.plan(experiment.Count(), H100, sharding.parse('data:1'))


GPT = dataclasses.replace(
    decoders.gpt2(128, 2, 4, vocab_size=8192, context=128))
LLAMA = decoders.llama(128, 2, 4, 2, 344, vocab_size=16000, context=128,
                      tied=False)
SMALL = dataclasses.replace(LLAMA, vocab_size=256, num_layers=4)
LARGE = decoders.gpt2(192, 3, 6, vocab_size=50257, context=128)
DEEP = decoders.gpt2(384, 6, 6, vocab_size=512, context=128)


# As `attend.best`, where no kernel is.
_attend = functools.partial(divided.attention, attend.plain)


def _compiled(config, mesh):
  """Returns what XLA says of the step, for a device of a mesh."""
  sizes = sharding.parse(mesh)
  strategy = mesh_lib.Mesh(
      jax.devices()[:math.prod(sizes.values())], mesh)
  return compiled_lib.lower(config, strategy, _attend).compile()


@pytest.mark.parametrize('model, chunk, parts, mesh', [
    (GPT, None, 1, 'data:1'),
    *(pytest.param(*each, marks=pytest.mark.slow) for each in [
        (dataclasses.replace(GPT, scan=True), None, 1, 'data:1'),
        (GPT, 256, 1, 'data:1'),
        (dataclasses.replace(GPT, scan=True, remat='full'), None, 1, 'data:1'),
        (dataclasses.replace(GPT, scan=True, remat='full'), 256, 1, 'data:1'),
        (dataclasses.replace(GPT, scan=True, remat='dots'), None, 2, 'data:1'),
        (GPT, None, 4, 'data:1'),
        (LLAMA, None, 1, 'data:1'),
        (dataclasses.replace(LLAMA, scan=True), 256, 1, 'data:1'),
        (SMALL, None, 1, 'data:1'),
        (dataclasses.replace(SMALL, scan=True, remat='full'), None, 1,
         'data:1'),
        (SMALL, None, 1, 'data:4'), (LLAMA, None, 1, 'fsdp:4'),
        (LLAMA, None, 1, 'tensor:2'), (GPT, None, 1, 'fsdp:2,tensor:2'),
        (LARGE, None, 1, 'data:1'), (LARGE, 192, 1, 'data:1'),
        (LARGE, None, 1, 'fsdp:4'),
        (dataclasses.replace(LARGE, scan=True, remat='dots'), None, 1,
         'data:1'),
        (LLAMA, None, 1, 'sequence:2'),
        (dataclasses.replace(DEEP, scan=True, remat='full'), None, 1,
         'fsdp:8'),
        (dataclasses.replace(LLAMA, dtype='bfloat16'), None, 1, 'data:1'),
        (dataclasses.replace(DEEP, dtype='bfloat16', scan=True, remat='full'),
         None, 1, 'data:1')])])
def test_memory_is_close_to_xla(monkeypatch, model, chunk, parts, mesh):
  monkeypatch.setattr(estimate, '_kernel', attend.plain)  # XLA has none on a CPU.
  sizes = sharding.parse(mesh)
  rows = 8 * sharding.shards_of_batch(sizes)  # XLA also counts the update.
  config = experiment.Pretrain(
      data=pipeline.DataConfig(batch_size=rows, length=128), model=model,
      objective=lm.Causal(chunk=chunk),
      training=options.Training(microbatches=parts))
  found = estimate.plan(config, H100, sizes)
  compiled = _compiled(config, mesh)
  memory = compiled.memory_analysis()
  held = (memory.argument_size_in_bytes + memory.temp_size_in_bytes
          + memory.output_size_in_bytes - memory.alias_size_in_bytes)
  assert found.total == pytest.approx(held, rel=0.15)
  if not (model.scan or chunk) and parts == 1:  # XLA counts a loop once.
    assert found.flops == pytest.approx(
        compiled.cost_analysis()['flops'], rel=0.02)


@pytest.mark.slow
def test_the_script_answers_and_refuses_in_a_sentence():
  def run(*flags):
    return subprocess.run(
        [sys.executable, str(ROOT / 'experiments/plan.py'), *flags],
        capture_output=True, text=True, timeout=300, check=False,
        env=environment.clean())
  done = run('--device=memory:24GiB,flops:82T,bandwidth:1TB/s')
  assert done.returncode == 0 and 'It fits' in done.stdout, done.stderr
  for flags, words in ((('--device=h101',), 'choose from'),
                       (('--device=memory:24GiB',), 'needs flops'),
                       (('--mesh=date:2',), "Did you mean 'data'")):
    refused = run(*flags)
    assert refused.returncode == 2 and words in refused.stderr
    assert 'Traceback' not in refused.stderr
