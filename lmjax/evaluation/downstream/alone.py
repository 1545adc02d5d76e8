"""Results of the members of a stack, each alone."""
from collections.abc import Mapping
from typing import Any

from lmjax.evaluation import estimates


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
