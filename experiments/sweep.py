r"""Trains a config with every combination of some values, and several seeds.

  python experiments/sweep.py --workdir=runs/sweep --config=demo \
      --sweep.optimizer.learning_rate=1e-3,3e-3 --sweep.model.num_layers=2,4
  python experiments/sweep.py --workdir=runs/seeds --config=demo --seeds=3

Each combination is a run in a folder of --workdir, made by pretrain.py, or by
finetune.py if the config is for it; --config.a.b=value sets a field of all.
The same command continues a sweep that was stopped, and skips the runs that are
finished. --print prints the commands of the others instead of running them. The
scores are written to sweep.json and sweep.png.
"""
import pathlib
import shlex

from absl import flags
from lmjax.core import cli
from lmjax.core import errors
from lmjax import experiment
from lmjax.models import presets
from lmjax.recipes.comparing import running
from lmjax.recipes.comparing import sweep as sweep_lib
from lmjax.recipes.comparing import sweep_table
from lmjax.run import directory
from lmjax.run import launch as launching

HERE = pathlib.Path(__file__).parent


def points() -> list[sweep_lib.Point]:
  """Returns the runs that the flags describe, all of them checked."""
  if not _CONFIG.swept and _SEEDS.value == 1:
    raise errors.InputError(
        'There is nothing to sweep: give values, such as '
        '--sweep.optimizer.learning_rate=1e-3,3e-3, or --seeds=3.')
  given, names = _CONFIG.given()
  found = sweep_lib.points(
      _CONFIG.named.load(_CONFIG.value), _CONFIG.named.cls, given,
      _CONFIG.swept, _SEEDS.value, pathlib.Path(_WORKDIR.value), names)
  for point in found:
    if not point.finished():
      directory.check(point.workdir, point.config, override=_LAUNCH().override)
  return found


def main(_):
  found, others = points(), launching.given_flags()
  command = lambda point: point.command(HERE, _CONFIG.value, others)
  if _PRINT.value:
    for point in found:
      if not point.finished():
        print(shlex.join(command(point)))
    return
  failed = [name for name, code in running.run(found, command).items() if code]
  table = sweep_table.Table.of(found)
  table.save(pathlib.Path(_WORKDIR.value))
  table.show()
  print(f'---\ntable: {_WORKDIR.value}/sweep.json\n'
        f'plot:  {_WORKDIR.value}/sweep.png')
  if failed:
    raise errors.RunError(
        f'{len(failed)} of {len(found)} runs failed: {"; ".join(failed)}. '
        'The same command tries them again.')


if __name__ == '__main__':
  _CONFIG = cli.sweep_flag(
      experiment.Pretrain | experiment.Count | experiment.Finetune,
      HERE / 'configs/demo.py', presets.PRESETS,
      parallel='training.parallel', mesh='training.mesh',
      max_bad_steps='training.guard.max_bad_steps')
  _LAUNCH = launching.define_flags()
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Folder of all runs.', required=True)
  _SEEDS = flags.DEFINE_integer(
      'seeds', 1, 'Runs of each combination of values.', lower_bound=1)
  _PRINT = flags.DEFINE_bool(
      'print', False, 'Print the commands of the runs that are not finished.')
  cli.run(main)
