"""Metrics with their standard errors, and the table that they are shown in."""
from collections.abc import Mapping, Sequence
import dataclasses
import math
from typing import Any

import numpy as np

from lmjax.evaluation import report


@dataclasses.dataclass(frozen=True)
class Estimate:
  """A number measured on examples.

  Attributes:
    value: The number; None if it is not known.
    stderr: Its standard error, examples being drawn independently; None if
      there are too few examples for one.
  """
  value: float | None
  stderr: float | None = None


def mean(values: Sequence[float] | np.ndarray) -> Estimate:
  """Returns the mean of one number an example."""
  values = np.asarray(values, np.float64)
  stderr = None
  if len(values) > 1:
    stderr = float(values.std(ddof=1) / math.sqrt(len(values)))
  return Estimate(float(values.mean()), stderr)


def jackknife(value: float, without: np.ndarray,
              counts: np.ndarray | None = None) -> Estimate:
  """Returns a statistic with its standard error by the jackknife.

  With n examples and the statistic t_i of all but the i-th, of mean t, the
  variance is (n - 1) / n * sum over i of (t_i - t)^2.

  Args:
    value: The statistic of all examples.
    without: The statistic of all but one, for each example that may be left
      out, or for each kind of example that has the same effect.
    counts: How many examples are of each such kind; 1 by default.

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


def to_dict(metrics: Mapping[str, Estimate]) -> dict[str, float | None]:
  """Returns {name: value, name_stderr: its standard error}."""
  return {key: number for name, estimate in metrics.items() for key, number in (
      (name, estimate.value), (f'{name}_stderr', estimate.stderr))}


def columns(metrics: Mapping[str, Estimate]) -> tuple[str, ...]:
  """Returns the heads of a table of results: metrics and their errors."""
  return ('', *(head for name in metrics for head in (
      name.replace('_', '-').replace('f1', 'F1'), '±')))


def rows(results: Mapping[str, Any], names: Sequence[str]
         ) -> list[tuple[str, ...]]:
  """Returns the cells of that table.

  Args:
    results: By name; each has `metrics`, estimates by name.
    names: The metrics in their order; one that a result lacks is a dash.
  """
  found = []
  for title, result in results.items():
    measured = [result.metrics.get(name, Estimate(None)) for name in names]
    found.append((title, *(report.number(number, 4) for estimate in measured
                           for number in (estimate.value, estimate.stderr))))
  return found
