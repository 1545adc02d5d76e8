"""Sources and targets in memory."""
import collections
from collections.abc import Iterator
import dataclasses

from lmjax.core import errors
from lmjax.tasks.written import example


@dataclasses.dataclass(frozen=True)
class MemoryPairs:
  """Pairs in memory, for notebooks and tests.

  Attributes:
    pairs: Tuples (source, target) or (source, target, further references...).
  """
  pairs: tuple[tuple[str, ...], ...]

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[example.Pair]:
    """Yields the pairs in order."""
    del counts  # No line is repaired or skipped.
    for number, row in enumerate(self.pairs):
      if not isinstance(row, list | tuple) or len(row) < 2 or not all(
          isinstance(text, str) for text in row):
        raise errors.InputError(
            f'pair {number} should be texts (source, target), and perhaps '
            f'further references; got {row!r:.60}.')
      yield example.pair(row[0], tuple(row[1:]), f'pair {number}')
