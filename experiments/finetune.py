"""Fine-tunes a pretrained run on a task, or trains on it from scratch.

  python experiments/finetune.py --workdir=runs/docstrings
  python experiments/finetune.py --workdir=runs/tuned --config.init=runs/demo
  python experiments/finetune.py --workdir=runs/head --config.init=runs/demo \\
      --config.train_only=layer_3/,final_norm,classes/

The script reports the metrics of the task on its test split, with standard
errors and baselines. --config.a.b=value sets a field of the config, and
--config.a.kind=Name chooses another part. The same command, or --workdir alone,
continues a run that was stopped.
"""
import pathlib

from lmjax.core import cli
from lmjax import experiment
from lmjax.models import presets
from lmjax.parallel import processes
from lmjax.recipes import finetuning
from lmjax.run import launch as launching


def main(_):
  finetuning.finetune(_CONFIG(), _WORKDIR.value, _LAUNCH())


if __name__ == '__main__':
  _CONFIG = cli.config_flag(
      experiment.Finetune,
      pathlib.Path(__file__).parent / 'configs/finetune_docstrings.py',
      presets.PRESETS,
      workdir='workdir', parallel='training.parallel', mesh='training.mesh',
      max_bad_steps='training.guard.max_bad_steps')
  _LAUNCH = launching.define_flags()
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of the run.', required=True)
  cli.run(processes.together(main))
