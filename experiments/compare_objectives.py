r"""Compares pairs of model and objective that train with the same compute.

  python experiments/compare_objectives.py --workdir=runs/compare \
      --text=input.txt --cpu_minutes=10

The pairs are defined in experiments/configs/objectives.py; --pairs=a,b selects
some of them. Each pair trains for --cpu_minutes of processor time (of all
threads, without compilation). It is scored by the likelihood that its objective
defines, and probed by a linear classifier that predicts the speaker from the
model's frozen vectors. The script writes `table.json` and `table.png`. The same
command continues a comparison that was stopped.
"""
import dataclasses
import pathlib

from absl import flags
from configs import objectives
from lmjax.core import cli
from lmjax.core import errors
from lmjax import experiment
from lmjax.recipes import comparison
from lmjax.recipes import counting
from lmjax.recipes import pretraining


def compare(text: str, workdir: str, names: list[str], cpu_minutes: float
            ) -> list[comparison.Row]:
  """Trains the pairs on a text file; returns a row for each."""
  folder, rows, paragraphs = pathlib.Path(workdir), [], []
  for name in names:
    config, run = objectives.PAIRS[name], str(folder / name)
    source = dataclasses.replace(config.data.source, paths=(text,))
    config = dataclasses.replace(config, data=dataclasses.replace(
        config.data, source=source, cache=str(folder / 'cache')))
    paragraphs = paragraphs or list(config.data.part('valid').documents())
    print(f'=== {name}', flush=True)
    if isinstance(config, experiment.Count):
      counting.count(config, run)
    else:
      config = comparison.within(config, run, cpu_minutes)
      pretraining.pretrain(config, run)
    rows.append(comparison.row_of(name, run, paragraphs))

  start = comparison.probed(comparison.untrained(
      dataclasses.replace(objectives.BASE, data=dataclasses.replace(
          objectives.BASE.data, source=source, cache=str(folder / 'cache'))),
      workdir), paragraphs)
  beside = comparison.probe_baselines(paragraphs) | {'untrained': start}
  comparison.save(folder / 'table.json', rows, probe_baselines=beside,
                  cpu_minutes=cpu_minutes)
  comparison.plot(folder / 'table.png', rows, beside,
                  f'{cpu_minutes:g} CPU minutes each')
  comparison.show(rows, f'{cpu_minutes:g} CPU minutes each; the probe of ' + (
      ', '.join(f'{name}: {value:.3f}' for name, value in beside.items())))
  print(f'table: {folder / "table.json"}\nplot:  {folder / "table.png"}')
  return rows


def main(_):
  names = _PAIRS.value or list(objectives.PAIRS)
  wrong = [name for name in names if name not in objectives.PAIRS]
  if wrong:
    raise errors.InputError(
        f'--pairs names {wrong[0]!r}; choose from {sorted(objectives.PAIRS)}.')
  compare(_TEXT.value, _WORKDIR.value, names, _MINUTES.value)


if __name__ == '__main__':
  _WORKDIR = cli.path_flag(
      'workdir', None, 'Folder of all runs.', required=True)
  _TEXT = cli.path_flag(
      'text', None, 'File with a play: one speech per paragraph, whose first '
      'line is the speaker and a colon.', required=True)
  _PAIRS = flags.DEFINE_list('pairs', [], 'Names of pairs; all by default.')
  _MINUTES = flags.DEFINE_float(
      'cpu_minutes', 10, 'Minutes of processor time to train each pair.',
      lower_bound=0.01)
  cli.run(main)
