"""Finished runs side by side: a table, their configs, a plot and tests."""
from collections.abc import Sequence
import dataclasses
import json
import math
import os
import pathlib
from typing import Any

from lmjax.core import changes
from lmjax.core import config as config_lib
from lmjax.core import errors
from lmjax.core.files import atomic
from lmjax.core.files import durable
from lmjax.core import secrets
from lmjax.core import terminal
from lmjax.evaluation import estimates
from lmjax.evaluation import report
from lmjax.recipes.comparing import contrast as contrast_lib
from lmjax.recipes.comparing import outcome as outcome_lib
from lmjax.training import writers

_SEEDS = ('The tests are about other texts, not other seeds: experiments/'
          'sweep.py --seeds=3 measures how much a seed changes.')
_LONG = 16  # Characters of a name that fits beside the others in a table.
_COLORS = ('#2f6db5', '#d9702b', '#3f9b6d', '#8a5fb0', '#b5892f', '#666666')


@dataclasses.dataclass(frozen=True)
class Comparison:
  """Several runs, the first of which is tested against each other one.

  Attributes:
    names: The names of the runs in tables and sentences: those of their
      folders, or letters if these are too long for a table.
    outcomes: The runs.
    contrasts: The tests.
    refused: Sentences on pairs of runs that could not be tested.
  """
  names: list[str]
  outcomes: Sequence[outcome_lib.Outcome]
  contrasts: Sequence[contrast_lib.Contrast]
  refused: Sequence[str]

  @classmethod
  def of(cls, outcomes: Sequence[outcome_lib.Outcome]) -> 'Comparison':
    """Compares runs.

    Raises:
      InputError: If some are fine-tuned and others are language models.
    """
    names = titles = outcome_lib.titles(outcomes)
    if max(map(len, titles)) > _LONG:
      names = [_letters(i) for i in range(len(titles))]
    if len({outcome.tuned for outcome in outcomes}) > 1:
      listed = ', '.join(title for title, outcome in zip(titles, outcomes)
                         if outcome.tuned)
      raise errors.InputError(
          f'{listed} of these runs are fine-tuned on a task, the others model '
          'text; compare runs of one kind.')
    return cls(names, outcomes, *contrast_lib.against(
        outcomes[0], outcomes[1:], names))

  def columns(self) -> tuple[list[str], list[list[str]]]:
    """Returns the head and the rows of the table of runs."""
    heads = ['', 'model', 'parameters', 'tokens', 'time']
    rows = [[name, type(run.config.model).__name__.removesuffix('Config'),
             *('-' if run.facts.get(fact) is None else f'{run.facts[fact]:,.0f}'
               for fact in ('parameters', 'tokens')),
             _duration(run.facts.get('seconds'))]
            for name, run in zip(self.names, self.outcomes)]
    if not self.outcomes[0].tuned:
      heads += ['likelihood', 'nats/token', '±', 'bits/byte']
      for row, run in zip(rows, self.outcomes):
        row += [run.kind, *(
            report.number(getattr(run.report, field, None), 4)
            for field in ('nats_per_token', 'stderr', 'bits_per_byte'))]
      return heads, rows
    metrics = dict.fromkeys(m for run in self.outcomes for m in run.metrics)
    heads += estimates.columns(metrics)[1:]
    for name in metrics:
      for row, run in zip(rows, self.outcomes):
        found = run.metrics.get(name, estimates.Estimate(None))
        row += [report.number(x, 4) for x in (found.value, found.stderr)]
    # Of a fine-tuned run, `config.model` and 'tokens' mean something else.
    keep = [i for i in range(len(heads)) if heads[i] not in ('model', 'tokens')]
    return [heads[i] for i in keep], [[row[i] for i in keep] for row in rows]

  def differing(self) -> dict[str, list[Any]]:
    """Returns {field: its value in each run} of the fields that differ.

    Fields that do not affect results are left out; a run whose part has no such
    field has None.
    """
    leaves = [config_lib.leaves(secrets.redact(config_lib.to_dict(run.config)))
              for run in self.outcomes]
    found = {field: [each.get(field) for each in leaves]
             for field in dict.fromkeys(f for each in leaves for f in each)}
    return {field: values for field, values in found.items()
            if any(value != values[0] for value in values)
            and not any(changes.covered(field, run.config.changes.cosmetic)
                        for run in self.outcomes)}

  def show(self) -> None:
    """Prints the tables and the tests."""
    titles = outcome_lib.titles(self.outcomes)
    for name, title in zip(self.names, titles):
      if name != title:
        print(terminal.printable(f'{name}: {title}'))
    report.display(report.grid(*self.columns()))
    rows = [[field, *('-' if value is None else str(value) for value in values)]
            for field, values in self.differing().items()]
    report.display(report.grid(['differs', *self.names], rows) if rows
                   else 'The configs do not differ.')
    for line in self.told():
      print(terminal.printable(line))

  def told(self) -> list[str]:
    """Returns the results of the tests as sentences."""
    tested = [contrast.sentences() for contrast in self.contrasts]
    return tested + [*self.refused] + ([_SEEDS] if tested else [])

  def save(self, folder: str | os.PathLike[str]) -> None:
    """Writes compare.json and compare.png to a folder."""
    folder = pathlib.Path(folder)
    durable.make_folder(folder)
    heads, rows = self.columns()
    tree = {'runs': {name: str(run.run.path) for name, run in zip(
        self.names, self.outcomes)},
            'table': [dict(zip(['run', *heads[1:]], row)) for row in rows],
            'differing': self.differing(),
            'tests': [each.to_dict() for each in self.contrasts],
            'not_tested': list(self.refused)}
    atomic.write(folder / 'compare.json', json.dumps(tree, indent=2) + '\n')
    plot(folder / 'compare.png', self.outcomes)


def plot(path: str | os.PathLike[str], outcomes: Sequence[outcome_lib.Outcome]
         ) -> None:
  """Draws the held-out curves of runs over each other into a PNG file.

  Losses of different tokenizers are drawn in bits per byte. A run without a
  curve, such as a counted one, is a line at its score.
  """
  from matplotlib import figure  # Slow to import, and only needed here.
  from matplotlib import ticker
  tuned = outcomes[0].tuned
  unit = 'nats/example' if tuned else contrast_lib.measure(outcomes)
  picture = figure.Figure(figsize=(7, 4), dpi=150, layout='constrained')
  axes = picture.add_subplot()
  titles = outcome_lib.titles(outcomes)
  for i, (outcome, title) in enumerate(zip(outcomes, titles)):
    places, losses = curve(outcome, unit)
    style = dict(label=title, color=_COLORS[i % len(_COLORS)], linewidth=1.8,
                 linestyle=('-', '--', ':')[i // len(_COLORS) % 3])
    if places:
      axes.plot(places, losses, marker='o', markersize=4, **style)
    elif outcome.report is not None:
      axes.axhline(_scale(outcome, unit) * outcome.report.nats_per_token,
                   **style)
  if axes.lines:
    axes.legend(frameon=False)
  axes.set(xlabel='step' if tuned else 'tokens trained on',
           ylabel=f'held-out loss ({unit})')
  axes.set_xlim(left=0)
  axes.xaxis.set_major_formatter(ticker.EngFormatter())
  axes.spines[['top', 'right']].set_visible(False)
  axes.grid(axis='y', color='#dddddd', linewidth=0.6)
  axes.set_axisbelow(True)
  with atomic.opened(path, 'wb') as file:
    picture.savefig(file)


def curve(outcome: outcome_lib.Outcome, unit: str
          ) -> tuple[list[float], list[float]]:
  """Returns the places and the held-out losses of a run's curve.

  A place is the number of tokens that a language model was trained on, or the
  step of a fine-tuned run.

  Args:
    outcome: The run.
    unit: The unit of the losses; 'bits/byte' converts nats per token by the
      report's number of tokens per byte.
  """
  scale, rows = _scale(outcome, unit), writers.read(outcome.run.metrics)
  places = {row['step']: row['step'] if outcome.tuned else row['tokens']
            for row in rows if outcome.tuned or 'tokens' in row}
  pairs = [(places[row['step']], scale * row['valid/loss']) for row in rows
           if 'valid/loss' in row and row['step'] in places]
  pairs = [pair for pair in pairs if math.isfinite(pair[1])]
  return [x for x, _ in pairs], [y for _, y in pairs]


def _scale(outcome: outcome_lib.Outcome, unit: str) -> float:
  """Returns the factor from a run's nats per token to a unit."""
  found = outcome.report
  if unit != 'bits/byte' or found is None or not found.bytes:
    return 1.0
  return found.tokens / found.bytes / math.log(2)


def _letters(number: int) -> str:
  """Returns a number as letters.

  Example:
    >>> _letters(0), _letters(25), _letters(26)
    ('A', 'Z', 'AA')
  """
  before, last = divmod(number, 26)
  return (_letters(before - 1) if before else '') + chr(ord('A') + last)


def _duration(seconds: float | None) -> str:
  """Returns a time such as 1:02:03, or a dash.

  Example:
    >>> _duration(62.4)
    '1:02'
  """
  if seconds is None:
    return '-'
  minutes, seconds = divmod(round(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02}:{seconds:02}' if hours else (
      f'{minutes}:{seconds:02}')
