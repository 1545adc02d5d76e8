"""Labelled text in memory."""
from collections.abc import Iterator
import dataclasses

from lmjax.core import errors
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class InMemory:
  """Examples in memory, for notebooks and tests.

  Attributes:
    pairs: Tuples (text, label) or (text, second text, label).
  """
  pairs: tuple[tuple[str, ...], ...]

  def examples(self) -> Iterator[task_lib.Example]:
    """Yields the examples in order."""
    for number, row in enumerate(self.pairs):
      if len(row) not in (2, 3):
        raise errors.InputError(
            f'example {number} should be (text, label) or (text, second text, '
            f'label); got {row!r:.60}.')
      yield task_lib.Example(
          row[0], str(row[-1]), f'example {number}', *row[1:-1])
