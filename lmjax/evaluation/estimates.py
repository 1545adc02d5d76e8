"""Metrics with their standard errors, and tables of them."""
from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from lmjax.evaluation import report

_MOST_ACROSS = 4  # Metrics in a row of the table.


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A number measured on examples.

  Attributes:
    value: The number; None if it is not known.
    stderr: Its standard error for independent examples; None if there are too
      few examples for one.
    why: The reason why the number is not known, as a clause.
  """
  value: float | None
  stderr: float | None = None
  why: str = ''


def mean(values: Sequence[float] | np.ndarray) -> Estimate:
  """Returns the mean of one number per example."""
  values = np.asarray(values, np.float64)
  stderr = None
  if len(values) > 1:
    stderr = float(values.std(ddof=1) / math.sqrt(len(values)))
  return Estimate(float(values.mean()), stderr)


def jackknife(value: float, without: np.ndarray,
              counts: np.ndarray | None = None) -> Estimate:
  """Returns a statistic with its jackknife standard error.

  With n examples, t_i the statistic of all examples except the i-th, and t the
  mean of the t_i, the variance is (n - 1) / n * sum over i of (t_i - t)^2.

  Args:
    value: The statistic of all examples.
    without: The statistic without one example, for each example, or for each
      group of examples that give the same value.
    counts: Number of examples in each group; 1 by default.

  References:
    Efron and Stein, The Jackknife Estimate of Variance, 1981.
  """
  counts = np.ones(len(without)) if counts is None else counts
  total = counts.sum()
  if total < 2:
    return Estimate(value)
  centre = (counts * without).sum() / total
  variance = (total - 1) / total * (counts * (without - centre)**2).sum()
  return Estimate(value, math.sqrt(variance))


def ratio(part_N: np.ndarray, whole_N: np.ndarray) -> Estimate:
  """Returns the sum of parts over the sum of wholes; 0 if that sum is 0.

  The standard error is from the jackknife.

  Args:
    part_N: The part of each example.
    whole_N: The whole of each example.

  Example:
    >>> ratio(np.array([1, 0]), np.array([1, 3])).value
    0.25
  """
  parts = np.append(part_N.sum() - part_N, part_N.sum()).astype(np.float64)
  wholes = np.append(whole_N.sum() - whole_N, whole_N.sum())
  found = np.divide(
      parts, wholes, out=np.zeros(len(parts)), where=wholes > 0)
  return jackknife(float(found[-1]), found[:-1])


def to_dict(metrics: Mapping[str, Estimate]
            ) -> dict[str, float | str | None]:
  """Returns {name: value, name_stderr: its standard error}.

  Adds {name_why: reason} for a value that has a reason not to be known.
  """
  return {key: value for name, estimate in metrics.items() for key, value in (
      (name, estimate.value), (f'{name}_stderr', estimate.stderr),
      (f'{name}_why', estimate.why)) if key != f'{name}_why' or value}


def reasons(results: Mapping[str, Any]) -> list[str]:
  """Returns sentences that say which metrics are not known, and why.

  Args:
    results: Results by name, each with `metrics`, {name: Estimate}.
  """
  found = {}
  for title, result in results.items():
    for name, estimate in result.metrics.items():
      if estimate.why:
        found.setdefault((title, estimate.why), []).append(name)
  return [f'{", ".join(names)} of {title}: undefined, as {why}.'
          for (title, why), names in found.items()]


def tables(results: Mapping[str, Any]
           ) -> dict[str, tuple[tuple[str, ...], list[tuple[str, ...]]]]:
  """Returns {heading: (head, rows)} of the tables of results.

  A metric named 'a/b' is in the table 'a' as 'b', and a result named 'a/c' is
  in the table 'a' as 'c'; others are in the table ''. A table has the metrics
  of the first result that belong to it, and the results that have any of them.

  Args:
    results: Results by name, each with `metrics`, {name: Estimate}.
  """
  first, found = next(iter(results.values())).metrics, {}
  for heading in dict.fromkeys(name.rpartition('/')[0] for name in first):
    names = tuple(name for name in first
                  if name.rpartition('/')[0] == heading)
    short = lambda name, start=f'{heading}/': name.removeprefix(start)
    found[heading] = _fitting(
        columns({short(name): first[name] for name in names}),
        rows({short(title): result for title, result in results.items()
              if result.metrics.keys() & {*names}}, names))
  return found


def _fitting(heads: tuple[str, ...], cells: list[tuple[str, ...]]
             ) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
  """Returns a table of results, transposed if its rows are too long."""
  if len(heads) <= 1 + 2 * _MOST_ACROSS:
    return heads, cells
  turned = [(head, *(number for row in cells for number in row[i:i + 2]))
            for i, head in enumerate(heads) if i % 2]
  return ('', *(head for row in cells for head in (row[0], '±'))), turned


def columns(metrics: Mapping[str, Estimate]) -> tuple[str, ...]:
  """Returns the column heads of a table of results: metrics and errors."""
  return ('', *(head for name in metrics for head in (title(name), '±')))


def title(name: str) -> str:
  """Returns the name of a metric as tables show it.

  Example:
    >>> title('macro_f1')
    'macro-F1'
  """
  return name.replace('_', '-').replace('f1', 'F1')


def rows(results: Mapping[str, Any], names: Sequence[str]
         ) -> list[tuple[str, ...]]:
  """Returns the rows of a table of results, as cells.

  Args:
    results: Results by name, each with `metrics`, {name: Estimate}.
    names: The metrics in their order; a dash shows one that a result lacks.
  """
  found = []
  for title, result in results.items():
    measured = [result.metrics.get(name, Estimate(None)) for name in names]
    found.append((title, *(report.number(number, 4) for estimate in measured
                           for number in (estimate.value, estimate.stderr))))
  return found
