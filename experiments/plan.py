"""Says whether a run fits a machine, and how fast it could be, without either.

  python experiments/plan.py --device=h100 --mesh=fsdp:64 \\
      --config=experiments/configs/llama3_8b.py
  python experiments/plan.py --device=l4 --config.model.vocab_size=4096

Prints what each device holds of parameters, optimizer, gradients and
activations, what it computes, moves and sends in a step, and the time that this
takes at the peaks of its data sheet. No array is made.
"""
import pathlib

from absl import flags
from lmjax import experiment
from lmjax import plan
from lmjax.core import cli
from lmjax.core import devices
from lmjax.training import sharding


def main(_):
  plan.show(
      plan.plan(_CONFIG(), devices.named(_DEVICE.value),
                sharding.parse(_MESH.value)), _DEVICE.value)


if __name__ == '__main__':
  _CONFIG = cli.config_flag(
      experiment.Pretrain | experiment.Count,
      pathlib.Path(__file__).parent / 'configs/demo.py')
  _DEVICE = flags.DEFINE_string(
      'device', 'h100', 'One of ' + ', '.join(devices.DEVICES) + '.')
  _MESH = flags.DEFINE_string(
      'mesh', 'data:1', 'Sizes of the axes data, fsdp, sequence and tensor.')
  cli.run(main)
