"""The lines that a run prints before its first step."""
import textwrap
from typing import Any

from lmjax.core import trees
from lmjax.parallel import strategy as strategy_lib
from lmjax.training.optimizers import schedules
from lmjax.training import step as step_lib


def describe(state: step_lib.TrainState, strategy: strategy_lib.Strategy,
             config: Any) -> str:
  """Returns lines on a model's size, its devices and the steps to come.

  Args:
    state: The state from which the run starts or continues.
    strategy: How the run uses devices.
    config: The config of the run, with `training` and `optimizer`.
  """
  start, steps = int(state.step), config.training.steps
  size, devices = trees.count(state.params), strategy.devices
  lines = [f'model: {size:,} parameters on {len(devices)} x '
           f'{devices[0].device_kind} ({strategy.name})',
           f'steps: {steps:,}']
  if start:
    lines[-1] += (', all of which are saved' if start >= steps else
                  f'; the run continues from step {start:,}')
  note = schedules.shortened(config.optimizer.schedule, steps)
  return '\n'.join(lines + textwrap.wrap(note or '', 80))
