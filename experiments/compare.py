"""Compares finished runs: a table, the fields that differ, and a paired test.

  python experiments/compare.py runs/a runs/b
  python experiments/compare.py runs/a runs/b runs/c --out=runs/compared
  python experiments/compare.py runs/a runs/b --below=evaluation

The first run is tested against each other one on the documents that both
scored, or on the test examples that both answered. --out writes compare.json
and compare.png, the held-out curves over each other.
"""
from absl import flags
from lmjax.core import cli
from lmjax.core import errors
from lmjax.recipes.comparing import outcome
from lmjax.recipes.comparing import side_by_side


def compare(runs: list[str], below: str = '', out: str | None = None
            ) -> side_by_side.Comparison:
  """Prints how runs differ; returns the comparison.

  Args:
    runs: The directories of the runs, the baseline first.
    below: The folder in each run that has its report; '' for the run's own.
    out: The folder for compare.json and compare.png; None writes nothing.
  """
  if len(runs) < 2:
    raise errors.InputError(
        'Give the directories of at least two runs: experiments/compare.py '
        f'runs/a runs/b; got {len(runs)}.')
  found = side_by_side.Comparison.of(
      [outcome.read(run, below) for run in runs])
  if out is not None:
    found.save(out)
  found.show()
  if out is not None:
    print(f'---\ntable: {out}/compare.json\nplot:  {out}/compare.png')
  return found


def main(argv):
  compare(argv[1:], _BELOW.value, _OUT.value)


if __name__ == '__main__':
  _BELOW = flags.DEFINE_string(
      'below', '', 'Folder in each run that has its report, such as '
      'evaluation; by default the report of the run itself.')
  _OUT = cli.path_flag('out', None, 'Folder for compare.json and compare.png.')
  cli.run(main, arguments=True)
