"""How much results depend on drawn examples, their order, and wording."""
from collections.abc import Iterable, Sequence
import dataclasses
from typing import Any

import numpy as np

from lmjax.evaluation import report


@dataclasses.dataclass(frozen=True)
class Spread:
  """The spread of a metric over several evaluations of the same questions.

  Attributes:
    name: Name of the questions.
    over: What differs, such as '3 seeds'.
    metric: The metric.
    mean: Its mean.
    deviation: Its standard deviation, with n - 1.
    low: The lowest value.
    high: The highest value.
  """
  name: str
  over: str
  metric: str
  mean: float
  deviation: float
  low: float
  high: float

  @classmethod
  def of(cls, name: str, over: str, metric: str, values: Sequence[float]
         ) -> 'Spread':
    """Returns the spread of at least two values."""
    return cls(name, over, metric, float(np.mean(values)),
               float(np.std(values, ddof=1)), float(min(values)),
               float(max(values)))

  def to_dict(self) -> dict[str, Any]:
    """Returns JSON types."""
    return dataclasses.asdict(self)


_METRICS = {'acc': 'accuracy', 'acc_norm': 'accuracy_norm',
            'acc_calibrated': 'accuracy_calibrated', 'exact': 'exact',
            'F1': 'f1'}


def spreads(reports: Iterable[Any]) -> list[Spread]:
  """Returns the spreads over seeds, then over templates, of each file.

  Over seeds, each template has its own spread; over templates, the values are
  the means over seeds.

  Args:
    reports: Reports as `choices.ChoiceReport` or `open_answers.OpenReport`.
  """
  by_name, found = {}, []
  for one in reports:
    by_template = by_name.setdefault(one.name, {})
    by_template.setdefault(one.template, []).append(one)
  for name, by_template in by_name.items():
    for metric, field in _METRICS.items():
      values = {template: [getattr(one, field, None) for one in some]
                for template, some in by_template.items()}
      if any(value is None for some in values.values() for value in some):
        continue
      for template, some in values.items():
        if len(some) > 1:
          where = '' if template is None else f', template {template}'
          found.append(Spread.of(
              name, f'{len(some)} seeds{where}', metric, some))
      if len(values) > 1:
        found.append(Spread.of(
            name, f'{len(values)} templates', metric,
            [float(np.mean(some)) for some in values.values()]))
  return found


def table(found: Sequence[Spread]):
  """Returns a `rich` table with a row for each spread."""
  columns = ('', 'over', 'metric', 'mean', 'sd', 'lowest', 'highest')
  rows = []
  for one in found:
    numbers = one.mean, one.deviation, one.low, one.high
    rows.append((one.name, one.over, one.metric,
                 *(report.number(number, 4) for number in numbers)))
  return report.grid(columns, rows)
