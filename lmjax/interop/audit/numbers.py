"""Numbers that a field could hold instead."""
from collections.abc import Iterable, Iterator
import math


def others(value: float | None, candidates: Iterable[float | None]
           ) -> Iterator[float | None]:
  """Yields the candidates that differ from a value and from each other.

  Example:
    >>> list(others(0.5, [1.0, 0.5, None, 1.0]))
    [1.0, None]
  """
  seen = [value]
  for candidate in candidates:
    if not any(_same(candidate, other) for other in seen):
      seen.append(candidate)
      yield candidate


def _same(first, second):
  if first is None or second is None:
    return first is second
  return math.isclose(first, second, rel_tol=1e-3)
