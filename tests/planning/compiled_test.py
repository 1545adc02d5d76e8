"""Steps compile for devices that this machine does not have, on any mesh.

What needs a compiler is skipped where `pip install '.[tpu]'` or `'.[cuda]'` was
not run.
"""
import dataclasses
import importlib.util

import pytest

from lmjax.core import errors
from lmjax.data import pipeline
from lmjax import experiment
from lmjax.models.presets import decoders
from lmjax.nn.mixture import experts
from lmjax.objectives import lm
from lmjax.parallel import devices
from lmjax.parallel import sharding
from lmjax.planning import compiled as compiled_lib
from lmjax.planning import estimate
from lmjax.recipes import prepared
from lmjax.testing import exchanges
from lmjax.training import options

LLAMA = dataclasses.replace(
    decoders.llama(256, 2, 4, 4, 512, vocab_size=1024, context=512, tied=False),
    dtype='bfloat16', scan=True)
MIXTURE = dataclasses.replace(LLAMA, block=dataclasses.replace(
    LLAMA.block, mlp=experts.MixtureOfExperts(
        num_experts=8, hidden=512, capacity_factor=1.25)))
GPT = dataclasses.replace(
    decoders.gpt2(256, 2, 4, vocab_size=1024, context=512), dtype='bfloat16')


def compiled(model, mesh, device='tpu-v5e', rows=8, **training):
  return compiled_lib.compile_step(experiment.Pretrain(
      data=pipeline.DataConfig(batch_size=rows), model=model,
      training=options.Training(**training)), device, sharding.parse(mesh))


def test_slices_are_the_smallest_that_hold_all():
  slices = [compiled_lib._slice('v5e', 2, n) for n in (1, 4, 5, 8, 16, 17, 64, 256)]
  assert slices == ['v5e:2x2', 'v5e:2x2', 'v5e:2x4', 'v5e:2x4', 'v5e:4x4',
                    'v5e:4x8', 'v5e:8x8', 'v5e:16x16']
  slices = [compiled_lib._slice('v5p', 3, n) for n in (1, 8, 16, 32, 64, 65)]
  assert slices == ['v5p:2x2x1', 'v5p:2x2x2', 'v5p:2x2x4', 'v5p:2x4x4',
                    'v5p:4x4x4', 'v5p:4x4x8']


@pytest.mark.parametrize('device, mesh, changes, words', [
    ('h101', 'data:1', {}, 'choose from'),
    ('t4', 'data:1', {}, 'works for b200, .*tpu-v6e. Omit --compile'),
    ('tpu-v5e', 'data:3', {}, 'the nearest batch size that does is 9'),
    ('tpu-v5e', 'tensor:3', {}, 'num_heads'),
])
def test_what_cannot_be_compiled_is_refused(device, mesh, changes, words):
  with pytest.raises(errors.InputError, match=words):
    compiled(dataclasses.replace(LLAMA, **changes), mesh, device)


def test_a_missing_compiler_is_named():
  if importlib.util.find_spec('jax_cuda12_plugin'):
    pytest.skip('It is there.')
  with pytest.raises(errors.InputError, match=r"pip install '\.\[cuda\]'"):
    compiled(LLAMA, 'data:1', 'h100')


@pytest.mark.slow
@pytest.mark.parametrize('model, mesh, training', [
    (GPT, 'data:8', {}),  # Dropout: attention without the kernel.
    (LLAMA, 'data:2,fsdp:2,tensor:2', dict(microbatches=2)),
    (LLAMA, 'data:2,sequence:4', {}),
    (LLAMA, 'sequence:2,fsdp:2,tensor:2', dict(sequence='ulysses')),
    (LLAMA, 'stage:2,data:2,tensor:2', dict(microbatches=2)),
    (LLAMA, 'stage:2,sequence:2,data:2', {}),
    (MIXTURE, 'data:2,expert:2,tensor:2', {}),
])
def test_every_axis_compiles_for_tpus(model, mesh, training):
  pytest.importorskip('libtpu')
  found = compiled(model, mesh, **training)
  sizes = sharding.parse(mesh)
  at_rest = sharding.bytes_per_device(
      prepared.state_shapes(experiment.Pretrain(model=model))[0]
      .replace(rng=None), sizes)
  assert found.count == 8
  assert found.memory['state and batch'] == pytest.approx(
      sum(at_rest.values()), rel=0.02, abs=2**18)


@pytest.mark.slow
@pytest.mark.parametrize('mesh, training', [
    ('data:2,fsdp:2,tensor:2', dict(microbatches=2)), ('sequence:8', {}),
    ('data:2,sequence:4', dict(sequence='ulysses')),
    ('stage:2,data:2,tensor:2', dict(microbatches=2))])
def test_axes_compile_for_gpus(mesh, training):
  pytest.importorskip('jax_cuda12_plugin')
  assert compiled(LLAMA, mesh, 'h100', **training).count == 8


@pytest.mark.slow
@pytest.mark.parametrize('device, compiler', [
    ('tpu-v5e', 'libtpu'), ('h100', 'jax_cuda12_plugin')])
def test_the_guard_compiles_to_a_selection_not_a_branch(device, compiler):
  pytest.importorskip(compiler)  # It would write all results beside the state.
  assert ' conditional(' not in compiled(LLAMA, 'data:1', device).text


@pytest.mark.slow
@pytest.mark.parametrize('mesh', ['data:8', 'fsdp:8', 'tensor:4', 'sequence:8'])
def test_gpus_send_as_much_as_planned(mesh):
  pytest.importorskip('jax_cuda12_plugin')
  sizes = sharding.parse(mesh)
  model = dataclasses.replace(LLAMA, dtype='float32')
  found = compiled(model, mesh, 'h100')
  sent = sum(each.sent for each in exchanges.of_step(found.text, found.count))
  planned = estimate.plan(experiment.Pretrain(
      data=pipeline.DataConfig(batch_size=8), model=model),
      devices.named('h100'), sizes)
  assert sent == pytest.approx(sum(planned.sent.values()), rel=0.1)


@pytest.mark.slow
def test_offloaded_moments_are_not_in_tpu_memory():
  pytest.importorskip('libtpu')
  here = compiled(LLAMA, 'fsdp:4').memory['state and batch']
  away = compiled(LLAMA, 'fsdp:4', offload='optimizer')
  assert away.memory['state and batch'] == pytest.approx(here / 3, rel=0.1)


@pytest.mark.slow
def test_a_step_too_large_for_a_tpu_is_refused():
  pytest.importorskip('libtpu')
  with pytest.raises(errors.InputError, match='does not fit tpu-v5e, .*remat'):
    compiled(LLAMA, 'data:1', rows=4096)


@pytest.mark.slow
def test_llama_3_8b_on_64_tpus_takes_the_planned_memory():
  pytest.importorskip('libtpu')
  config = experiment.Pretrain(
      data=pipeline.DataConfig(batch_size=128), model=dataclasses.replace(
          decoders.PRESETS['llama3_8b'], dtype='bfloat16', scan=True,
          remat='full'), objective=lm.Causal(chunk=2048))
  sizes = sharding.parse('fsdp:64')
  found = compiled_lib.compile_step(config, 'tpu-v5p', sizes)
  planned = estimate.plan(config, devices.named('tpu-v5p'), sizes)
  assert planned.total == pytest.approx(found.total, rel=0.15)
