"""The difference between two runs, tested on what both were scored on."""
from collections.abc import Iterator, Sequence
import dataclasses
from typing import Any

import numpy as np

from lmjax.core import errors
from lmjax.evaluation import paired
from lmjax.evaluation import report
from lmjax.recipes.comparing import outcome as outcome_lib

Outcome = outcome_lib.Outcome


@dataclasses.dataclass(frozen=True)
class Contrast:
  """The first run against a second one.

  Attributes:
    first: Name of the first run.
    second: Name of the second run.
    task: The task, if several were trained together, or ''.
    metric: The compared mean, such as 'nats/token'.
    noun: The units of the test in the plural, such as 'documents'.
    higher_is_better: Whether a higher mean is better.
    found: The difference, first minus second.
    p: The p-value, adjusted if several runs are tested; None without a test.
    notes: Sentences on what the two runs do not share.
  """
  first: str
  second: str
  task: str
  metric: str
  noun: str
  higher_is_better: bool
  found: paired.Difference
  p: float | None
  notes: tuple[str, ...] = ()

  def sentences(self) -> str:
    """Returns the result of the test, and what it cannot say."""
    found = self.found
    first_wins = (found.value > 0) == self.higher_is_better
    better, worse = (self.first, self.second) if first_wins else (
        self.second, self.first)
    shown = self.p is not None and self.p < paired.LEVEL
    gap = (f'{better} is {"better than" if shown else "ahead of"} {worse} by '
           f'{abs(found.value):.4f}')
    where = f' on {self.task}' if self.task else ''
    if found.p is None:
      return ' '.join([
          f'On this one unit of {self.noun}{where}, {gap} {self.metric}. '
          f'A test needs several {self.noun}: nothing can be said about '
          'others.', *self.notes])
    low, high = sorted(
        end if found.value >= 0 else -end for end in found.interval)
    told = (f'{gap} ± {found.stderr:.4f} {self.metric}{where} (95% interval '
            f'{low:.4f} to {high:.4f}; {found.units:,} {self.noun}; '
            f'p {_p(self.p)}, {found.test}')
    told += ', adjusted for several runs).' if self.p != found.p else ').'
    if found.value == 0:
      told = (f'{self.first} and {self.second} score the same{where} on '
              f'{found.units:,} {self.noun}.')
    elif not shown:
      told = f'No difference is shown: {told}'
    return ' '.join([told, *self._limits(), *self.notes])

  def _limits(self) -> Iterator[str]:
    """Yields a sentence if so few units can never show a difference."""
    if self.found.smallest_p >= paired.LEVEL:
      yield (f'With {self.found.units} {self.noun}, no p-value can be below '
             f'{self.found.smallest_p:.2g}, so this test cannot show a '
             'difference; hold out more.')

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""
    return report.finite(dataclasses.asdict(self) | {
        'sentence': self.sentences()})


def against(first: Outcome, others: Sequence[Outcome], names: Sequence[str]
            ) -> tuple[list[Contrast], list[str]]:
  """Tests the first run against each other one.

  P-values are adjusted by Holm's method if there are several tests.

  Args:
    first: The run that the others are compared with.
    others: The other runs.
    names: The name of the first run, then of the others.

  Returns:
    The contrasts, and sentences on the runs that could not be tested.
  """
  found, refused = [], []
  for other, name in zip(others, names[1:]):
    try:
      found += _contrasts(first, other, names[0], name)
    except errors.InputError as error:
      refused.append(f'{names[0]} and {name} are not tested: {error}')
  tested = [contrast for contrast in found if contrast.found.p is not None]
  adjusted = iter(paired.holm([contrast.found.p for contrast in tested]))
  return [dataclasses.replace(contrast, p=next(adjusted))
          if contrast.found.p is not None else contrast
          for contrast in found], refused


def measure(outcomes: Sequence[Outcome]) -> str:
  """Returns the unit in which the losses of language models are compared.

  Tokens of different tokenizers differ in size, so their losses are compared
  per byte of the original text.
  """
  hashes = {outcome.report.tokenizer_hash for outcome in outcomes
            if outcome.report is not None}
  return 'nats/token' if len(hashes) < 2 else 'bits/byte'


def _contrasts(first: Outcome, second: Outcome, *names: str
               ) -> Iterator[Contrast]:
  """Yields the difference of two runs on each task that they share."""
  notes = ()
  if first.tuned:
    pairs, others = outcome_lib.examples(first), outcome_lib.examples(second)
    pairs = {task: (units, others[task]) for task, units in pairs.items()
             if task in others}
    if not pairs:
      raise errors.InputError(
          'predictions.jsonl has no answers whose scores are known.')
  else:
    _check_texts(first, second, names)
    unit = measure([first, second])
    pairs = {'': tuple(outcome_lib.documents(run, unit)
                       for run in (first, second))}
    notes = tuple(_conditions(first, second, names))
  for task, (one, two) in pairs.items():
    if one.metric != two.metric or list(one.keys) != list(two.keys):
      raise errors.InputError(
          f'their test splits have different {one.noun}'
          + (f' in {task}.' if task else '.'))
    found = paired.difference(one.scores, two.scores, one.weights)
    yield Contrast(*names, task, one.metric, one.noun, one.higher_is_better,
                   found, found.p, notes)


def _check_texts(first: Outcome, second: Outcome, names: Sequence[str]) -> None:
  """Raises InputError unless two runs scored the same text in the same way."""
  for run, name in zip((first, second), names):
    if run.report is None:
      raise errors.InputError(f'the objective of {name} defines no likelihood.')
    if run.scores is None:
      raise errors.InputError(
          f'{name} has no held_out.jsonl. Evaluate every run with '
          'experiments/evaluate.py, then compare with --below=evaluation.')
  if first.kind != second.kind:
    raise errors.InputError(
        f'the likelihood of {names[0]} is {first.kind}, of {names[1]} '
        f'{second.kind}.')
  texts = [run.scores.texts.hashes for run in (first, second)]
  if not np.array_equal(*texts):
    shared = len(np.intersect1d(*texts))
    raise errors.InputError(
        f'their held-out texts differ: of {len(texts[0]):,} and '
        f'{len(texts[1]):,} documents, {shared:,} are the same. Evaluate both '
        'on one text with experiments/evaluate.py --config.data..., then '
        'compare with --below=evaluation.')


def _conditions(first: Outcome, second: Outcome, names: Sequence[str]
                ) -> Iterator[str]:
  """Yields a sentence for each condition of scoring that differs."""
  for field in 'context', 'stride':
    one, two = (getattr(run.report, field) for run in (first, second))
    if one != two:
      yield (f'{names[0]} was scored with {field} {one}, {names[1]} with '
             f'{two}.')


def _p(value: float) -> str:
  return f'= {value:.2g}' if value >= 0.001 else '< 0.001'
