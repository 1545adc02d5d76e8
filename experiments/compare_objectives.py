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
import functools
import pathlib

from absl import flags
from configs import objectives
from lmjax.core import cli
from lmjax.core import errors
from lmjax import experiment
from lmjax.recipes import attempts as attempts_lib
from lmjax.recipes.comparing import comparison
from lmjax.recipes import counting
from lmjax.recipes import pretraining


def compare(text: str, workdir: str, names: list[str], cpu_minutes: float
            ) -> list[comparison.Row]:
  """Trains the pairs on a text file; returns a row for each.

  The probe needs no pair, so it is tried first: a text without speakers is
  refused before anything is trained. A pair that fails leaves out its row.
  """
  folder, attempts = pathlib.Path(workdir), attempts_lib.Attempts()
  base = _on(objectives.BASE, text, folder)
  paragraphs = list(base.data.part('valid').documents())
  beside = comparison.probe_baselines(paragraphs) | {
      'untrained': comparison.probed(
          comparison.untrained(base, workdir), paragraphs)}
  rows = [attempts.make(name, functools.partial(
      _row, name, _on(objectives.PAIRS[name], text, folder),
      str(folder / name), paragraphs, cpu_minutes)) for name in names]
  rows = [row for row in rows if row is not None]

  table, plot = folder / 'table.json', folder / 'table.png'
  title = f'{cpu_minutes:g} CPU minutes each'
  comparison.save(table, rows, probe_baselines=beside, cpu_minutes=cpu_minutes)
  comparison.show(rows, f'{title}; the probe of ' + ', '.join(
      f'{name}: {value:.3f}' for name, value in beside.items()))
  print(f'table: {table}')
  attempts.make('plot', lambda: comparison.plot(plot, rows, beside, title))
  if plot.exists():
    print(f'plot:  {plot}')
  attempts.finish()
  return rows


def _on(config, text, folder):
  """Returns the config of a run on a text file, with the shared cache."""
  return dataclasses.replace(config, data=dataclasses.replace(
      config.data, cache=str(folder / 'cache'),
      source=dataclasses.replace(config.data.source, paths=(text,))))


def _row(name, config, run, paragraphs, cpu_minutes):
  """Trains a pair; returns its row."""
  print(f'=== {name}', flush=True)
  if isinstance(config, experiment.Count):
    counting.count(config, run)
  else:
    pretraining.pretrain(comparison.within(config, run, cpu_minutes), run)
  return comparison.row_of(name, run, paragraphs)


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
