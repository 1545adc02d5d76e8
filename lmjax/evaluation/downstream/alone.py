"""Results of the members of a stack, each alone."""
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lmjax.evaluation import estimates


def named(parts: Mapping[str, np.ndarray], weights_K: Sequence[float],
          judged: Callable[[np.ndarray], Any]) -> dict[str, Any]:
  """Returns the result of each member of a stack, named with its weight.

  Args:
    parts: The predictions of each member, by name.
    weights_K: The weight of each; () before the stack is weighed.
    judged: Function from predictions to their result.
  """
  return {f'{name}, weight {weight:.2f}': judged(part)
          for (name, part), weight in zip(parts.items(), weights_K)}


def tables(kind: str, parts: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the table of a page with the metrics of each member.

  Args:
    kind: What the members are, such as 'classifier'.
    parts: The result of each member, by name; without any there is no table.
  """
  if not parts:
    return {}
  names = next(iter(parts.values())).metrics
  return {'Alone': ((kind, *map(estimates.title, names)), [
      (part, *map(shown, result.metrics.values()))
      for part, result in parts.items()])}


def to_dict(parts: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the metrics of each member as JSON types."""
  return {'alone': {
      name: estimates.to_dict(part.metrics) for name, part in parts.items()
  }} if parts else {}


def shown(found: estimates.Estimate) -> str:
  """Returns a metric as a cell of a table."""
  return '-' if found.value is None else f'{found.value:.3f}'
