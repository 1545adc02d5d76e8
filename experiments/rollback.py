"""Rolls a run back to an earlier checkpoint, to continue without bad batches.

  python experiments/rollback.py --workdir=runs/demo --to_step=1000 \\
      --skip_batches=50

Then start the run again with its own command: it continues from step 1000 and
skips the batches that steps 1001 to 1050 saw. Later checkpoints and rows of
metrics are moved to WORKDIR/rolled_back, not deleted.
"""
from absl import flags
from lmjax.core import cli
from lmjax.run import rollback


def main(_):
  print(rollback.rollback(
      _WORKDIR.value, _TO_STEP.value, _SKIP_BATCHES.value,
      _TAKEOVER.value).describe())


if __name__ == '__main__':
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Directory of the run.', required=True)
  _TO_STEP = flags.DEFINE_integer(
      'to_step', None, 'The checkpoint to go back to.', required=True)
  _SKIP_BATCHES = flags.DEFINE_integer(
      'skip_batches', 0, 'Number of batches to skip from there on.')
  _TAKEOVER = flags.DEFINE_bool(
      'takeover', False, 'Take the directory over from the run that holds it.')
  cli.run(main)
