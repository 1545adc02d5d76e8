"""The results of a sweep: means over seeds, as a table, JSON and a plot."""
from collections.abc import Mapping, Sequence
import dataclasses
import json
import math
import pathlib
from typing import Any

from lmjax.core.files import atomic
from lmjax.core import terminal
from lmjax.evaluation import estimates
from lmjax.evaluation import report
from lmjax.recipes.comparing import contrast
from lmjax.recipes.comparing import outcome as outcome_lib
from lmjax.recipes.comparing import sweep
from lmjax.training import writers

_TICKS = 10  # Values that have a label each on the axis.
_COLORS = ('#2f6db5', '#d9702b', '#3f9b6d', '#8a5fb0', '#b5892f', '#666666')


@dataclasses.dataclass(frozen=True)
class Row:
  """The runs of one combination of values.

  Attributes:
    settings: {path: text} of the values.
    runs: {name of a run: its score} of the finished runs.
    missing: Names of the runs that have no score.
  """
  settings: Mapping[str, str]
  runs: Mapping[str, float]
  missing: Sequence[str]

  @property
  def score(self) -> estimates.Estimate:
    """The mean of the scores, with its standard error over seeds."""
    scores = [score for score in self.runs.values() if math.isfinite(score)]
    if not scores or len(scores) < len(self.runs):
      return estimates.Estimate(None)
    return estimates.mean(scores)


@dataclasses.dataclass(frozen=True)
class Table:
  """The results of a sweep.

  Attributes:
    metric: Name of the score.
    higher_is_better: Whether a higher score is better.
    rows: The rows, in the order of the sweep.
    notes: Sentences on what the scores are.
  """
  metric: str
  higher_is_better: bool
  rows: Sequence[Row]
  notes: tuple[str, ...] = ()

  @classmethod
  def of(cls, points: Sequence[sweep.Point]) -> 'Table':
    """Reads the scores of the points that are finished."""
    done = {point.name: outcome_lib.read(point.workdir)
            for point in points if point.finished()}
    metric, higher, scores, notes = _scores(done)
    groups: dict[tuple[str, ...], list[sweep.Point]] = {}
    for point in points:
      groups.setdefault(tuple(point.settings.values()), []).append(point)
    rows = [Row(group[0].settings,
                {point.name: scores[point.name] for point in group
                 if point.name in scores},
                [point.name for point in group if point.name not in scores])
            for group in groups.values()]
    return cls(metric, higher, rows, notes)

  def best(self) -> Row | None:
    """Returns the row with the best mean, or None without scores."""
    known = [row for row in self.rows if row.score.value is not None]
    sign = -1 if self.higher_is_better else 1
    return min(known, key=lambda row: sign * row.score.value, default=None)

  def told(self) -> list[str]:
    """Returns sentences on the best row, and on what it does not show."""
    best, found = self.best(), list(self.notes)
    if best is None:
      return [*found, 'No run has a score yet.']
    if best.score.stderr is None:
      return [*found, '* is the best of single runs. Another seed may order '
              'them differently: --seeds=3.']
    near = [row for row in self.rows if row is not best
            and row.score.value is not None and abs(
                row.score.value - best.score.value) < 2 * math.hypot(
                    best.score.stderr, row.score.stderr or 0)]
    told = '* is the best mean over seeds; ± is its standard error.'
    if near:
      told += (' Within 2 standard errors of it: ' + '; '.join(
          _title(row.settings) for row in near) + '.')
    return [*found, told]

  def show(self) -> None:
    """Prints the table."""
    heads = ['', *next(iter(self.rows)).settings, 'runs', self.metric, '±']
    best, cells = self.best(), []
    for row in self.rows:
      whole = len(row.runs) + len(row.missing)
      count = f'{len(row.runs)} of {whole}' if row.missing else str(whole)
      cells.append(['*' if row is best else '', *row.settings.values(), count,
                    *(report.number(x, 4)
                      for x in (row.score.value, row.score.stderr))])
    report.display(report.grid(heads, cells))
    for line in self.told():
      print(terminal.printable(line))

  def save(self, workdir: pathlib.Path) -> None:
    """Writes sweep.json and sweep.png."""
    best = self.best()
    rows = [{'settings': dict(row.settings), 'mean': row.score.value,
             'stderr': row.score.stderr, 'best': row is best,
             'runs': dict(row.runs), 'missing': list(row.missing)}
            for row in self.rows]
    atomic.write(workdir / 'sweep.json', json.dumps(report.finite({
        'metric': self.metric, 'higher_is_better': self.higher_is_better,
        'rows': rows, 'notes': self.told()}), indent=2) + '\n')
    if best is not None:
      plot(workdir / 'sweep.png', self)


def _scores(done: Mapping[str, outcome_lib.Outcome]
            ) -> tuple[str, bool, dict[str, float], tuple[str, ...]]:
  """Returns the metric, whether higher is better, {run: score} and notes."""
  runs = list(done.values())
  if runs and runs[0].tuned:
    return _validated(done)
  if any(run.report is None for run in runs):
    return 'held-out objective', False, {
        name: run.facts['held_out']['loss'] for name, run in done.items()}, (
            'Some runs have no likelihood, so objectives are compared, which '
            'is only right if all runs have the same.',)
  unit, kinds = contrast.measure(runs), {run.kind for run in runs}
  field = {'nats/token': 'nats_per_token', 'bits/byte': 'bits_per_byte'}[unit]
  notes = () if len(kinds) < 2 else (
      f'The likelihoods are of different kinds ({", ".join(sorted(kinds))}), '
      'which are not comparable.',)
  return f'held-out {unit}', False, {
      name: getattr(run.report, field) for name, run in done.items()}, notes


def _validated(done: Mapping[str, outcome_lib.Outcome]
               ) -> tuple[str, bool, dict[str, float], tuple[str, ...]]:
  """Returns the same of fine-tuned runs: their best validation scores.

  The test split is left for the run that is chosen.
  """
  stop = next(iter(done.values())).config.training.stop
  pick = max if stop.higher_is_better else min
  scores = {}
  for name, run in done.items():
    rows = writers.read(run.run.metrics)
    scores[name] = pick((float(row[stop.metric]) for row in rows
                         if stop.metric in row), default=math.nan)
  return stop.metric, stop.higher_is_better, scores, (
      'Runs are chosen by their best validation score; the test split is only '
      'in their own reports.',)


def plot(path: pathlib.Path, table: Table) -> None:
  """Draws the scores over the first field with numbers into a PNG file.

  Each combination of the other fields is a line. Without a field of numbers,
  the combinations are beside each other.
  """
  from matplotlib import figure  # Slow to import, and only needed here.
  picture = figure.Figure(figsize=(7, 4), dpi=150, layout='constrained')
  axes = picture.add_subplot()
  rows = [row for row in table.rows if row.score.value is not None]
  across = next((path for path in rows[0].settings if _numbers(rows, path)), '')
  lines: dict[str, list[Row]] = {}
  for row in rows:
    others = {k: v for k, v in row.settings.items() if k != across}
    lines.setdefault(_title(others) if across else '', []).append(row)
  for i, (title, group) in enumerate(lines.items()):
    places = _numbers(group, across) or list(range(len(group)))
    order = sorted(range(len(group)), key=places.__getitem__)
    scores = [group[j].score for j in order]
    axes.errorbar(
        [places[j] for j in order], [score.value for score in scores],
        [score.stderr or 0 for score in scores], label=title, marker='o',
        markersize=4, capsize=3, linewidth=1.8 if across else 0, elinewidth=1.2,
        color=_COLORS[i % len(_COLORS)])
  spots = {place: row.settings[across]
           for place, row in zip(_numbers(rows, across), rows)}
  if _multiplied([*spots]):
    axes.set_xscale('log')
  if 0 < len(spots) <= _TICKS:
    axes.set_xticks([*spots], [*spots.values()])
    axes.set_xticks([], minor=True)
  if not across:
    axes.set_xticks(range(len(rows)), [_title(row.settings, '\n')
                                       for row in rows], fontsize=8)
  if len(lines) > 1:
    axes.legend(frameon=False, fontsize=8)
  better = 'higher' if table.higher_is_better else 'lower'
  axes.set(xlabel=across, ylabel=f'{table.metric} ({better} is better)')
  axes.spines[['top', 'right']].set_visible(False)
  axes.grid(axis='y', color='#dddddd', linewidth=0.6)
  axes.set_axisbelow(True)
  with atomic.opened(path, 'wb') as file:
    picture.savefig(file)


def _numbers(rows: Sequence[Row], path: str) -> list[float]:
  """Returns the values of a field, or [] if one of them is not a number."""
  try:
    return [float(row.settings[path]) for row in rows]
  except (ValueError, LookupError):
    return []


def _multiplied(numbers: Sequence[float]) -> bool:
  """Returns whether values are spaced by factors rather than by steps.

  Example:
    >>> _multiplied([1e-4, 3e-4, 1e-3]), _multiplied([2, 4, 6])
    (True, False)
  """
  spots = sorted(set(numbers))
  if len(spots) < 2 or spots[0] <= 0:
    return False
  if len(spots) == 2:
    return spots[1] / spots[0] >= 3
  def unevenness(values):
    gaps = [b - a for a, b in zip(values, values[1:])]
    return max(gaps) / min(gaps)
  return unevenness([math.log(x) for x in spots]) < unevenness(spots)


def _title(settings: Mapping[str, Any], between: str = ', ') -> str:
  """Returns settings as text, with the last name of each path."""
  return between.join(f'{path.rpartition(".")[2]}={value}'
                      for path, value in settings.items())
