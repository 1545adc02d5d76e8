"""Labelled text in memory."""
import collections
from collections.abc import Iterator
import dataclasses

from lmjax.core import errors
from lmjax.tasks.readers.texts import labels
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class InMemory:
  """Examples in memory, for notebooks and tests.

  Attributes:
    pairs: Tuples (text, label) or (text, second text, label).
  """
  pairs: tuple[tuple[str, ...], ...]

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[task_lib.Example]:
    """Yields the examples in order."""
    del counts  # No line is repaired or skipped.
    for number, row in enumerate(self.pairs):
      *texts, label = row if isinstance(row, list | tuple) else ((), row)
      if len(texts) not in (1, 2) or not all(
          isinstance(text, str) for text in texts):
        raise errors.InputError(
            f'example {number} should be (text, label) or (text, second text, '
            f'label); got {row!r:.60}.')
      where = f'example {number}'
      yield task_lib.Example(
          texts[0], labels.name(label, where), where, *texts[1:])
