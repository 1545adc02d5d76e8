r"""Pretrains a language model, evaluates it exactly, and samples from it.

  python experiments/pretrain.py --workdir=runs/demo
  python experiments/pretrain.py --workdir=runs/char --config=shakespeare_char \
      --config.data.source.paths=input.txt --config.training.steps=500

--config chooses a config, --config.a.b=value sets a field of it, and
--config.a.kind=Name chooses another part, with its own defaults. A signal or
`touch WORKDIR/STOP` stops a run; the same command continues it, and so does
--workdir alone, because a run keeps its config.
"""
import pathlib

from absl import flags
from lmjax.core import cli
from lmjax import experiment
from lmjax.models import presets
from lmjax.parallel import processes
from lmjax.planning import preview
from lmjax.recipes import counting
from lmjax.recipes import pretraining
from lmjax.recipes import replay
from lmjax.run import launch as launching


def main(_):
  config = _CONFIG()
  if _REPLAY_STEP.value is not None:
    replay.replay(None, _WORKDIR.value, _REPLAY_STEP.value)
  elif _DRY_RUN.value:
    preview.show(config, _WORKDIR.value, _LAUNCH())
  elif isinstance(config, experiment.Count):
    counting.count(config, _WORKDIR.value, _LAUNCH())
  else:
    pretraining.pretrain(config, _WORKDIR.value, _LAUNCH(), _PROFILE.value)


if __name__ == '__main__':
  _CONFIG = cli.config_flag(
      experiment.Pretrain | experiment.Count,
      pathlib.Path(__file__).parent / 'configs/demo.py', presets.PRESETS,
      workdir='workdir', parallel='training.parallel', mesh='training.mesh',
      max_bad_steps='training.guard.max_bad_steps')
  _LAUNCH = launching.define_flags()
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of the run.', required=True)
  _DRY_RUN = flags.DEFINE_bool(
      'dry_run', False, 'Print size, cost and the first batch, then exit.')
  _REPLAY_STEP = flags.DEFINE_integer(
      'replay_step', None, 'Print the batch of a step of the run in workdir, '
      'run the step again, then exit.', lower_bound=1)
  _PROFILE = cli.path_flag(
      'profile', None, 'Directory for a profiler trace of five steps.')
  cli.run(processes.together(main))
