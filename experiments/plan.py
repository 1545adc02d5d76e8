"""Estimates whether a run fits a machine and how fast it could be there.

  python experiments/plan.py --device=h100 --mesh=fsdp:64 --config=llama3_8b
  python experiments/plan.py --device=l4
  python experiments/plan.py --device=memory:24GiB,flops:82T,bandwidth:1TB/s

  python experiments/plan.py --device=tpu-v5p --mesh=fsdp:64 --compile \\
      --config=llama3_8b

The script prints the memory of each device for parameters, optimizer, gradients
and activations, the work and communication of a step, and the time that they
take at the peak rates of the data sheet. With --compile it asks the device's
compiler for the memory of the step instead. No arrays are created, and none of
the devices are needed.
"""
import pathlib

from absl import flags
import jax
from lmjax.core import cli
from lmjax import experiment
from lmjax.models import presets
from lmjax.parallel import devices
from lmjax.parallel import sharding
from lmjax.planning import compiled
from lmjax.planning import estimate


def main(_):
  jax.config.update('jax_platforms', 'cpu')  # No accelerator is needed.
  config, device, sizes = _CONFIG(), _DEVICE.value, sharding.parse(_MESH.value)
  if _COMPILE.value:
    compiled.show(compiled.compile_step(config, device, sizes), device)
  else:
    estimate.show(estimate.plan(config, devices.named(device), sizes), device)


if __name__ == '__main__':
  _CONFIG = cli.config_flag(
      experiment.Pretrain | experiment.Count,
      pathlib.Path(__file__).parent / 'configs/demo.py', presets.PRESETS)
  _DEVICE = flags.DEFINE_string(
      'device', 'h100', 'Kind of device: ' + ', '.join(devices.DEVICES)
      + '; or its figures: memory:24GiB,flops:82T,bandwidth:1TB/s.')
  _MESH = flags.DEFINE_string(
      'mesh', 'data:1', 'Sizes of the mesh axes, such as fsdp:8,tensor:2.')
  _COMPILE = flags.DEFINE_bool(
      'compile', False, 'Whether to ask the compiler of the device instead of '
      "estimating; pip install '.[cuda]' or '.[tpu]' installs it.")
  cli.run(main)
