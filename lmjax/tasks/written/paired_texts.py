"""The three splits of a task on texts that are written from texts."""
import collections
import dataclasses

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.tasks.readers import division
from lmjax.tasks import task as task_lib
from lmjax.tasks.written import dialogues
from lmjax.tasks.written import example
from lmjax.tasks.written import field_pairs
from lmjax.tasks.written import line_pairs
from lmjax.tasks.written import memory_pairs

Reader = (
    field_pairs.ColumnPairs | field_pairs.FieldPairs | line_pairs.LinePairs
    | dialogues.Dialogues | field_pairs.TfdsPairs | memory_pairs.MemoryPairs)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class PairedTexts:
  """The three splits of a task on sources and targets, each from its reader.

  Attributes:
    train: The training pairs.
    test: The test pairs; None holds out some of `train`.
    valid: The pairs for early stopping; None holds out some of `train`.
    held_out: The expected fraction of `train` that is held out for each split
      that is None. A hash of the source determines the split of a pair, so
      copies stay together.
    drop_shared: Whether training pairs whose source is also in another split
      are dropped. A note has their number in both cases.
  """
  train: Reader
  test: Reader | None = None
  valid: Reader | None = None
  held_out: ranges.Rate = 0.1
  drop_shared: bool = True

  def read(self) -> task_lib.Splits:
    """Returns the pairs.

    Raises:
      InputError: If a file or split is empty, malformed or lacks a column.
    """
    given, notes = division.collect(_examples, self)
    found = division.divide(
        given, held_out=self.held_out, drop_shared=self.drop_shared,
        notes=notes)
    return task_lib.Splits(
        found.train, found.valid, found.test, notes=found.notes)


def _examples(name: str, reader: Reader, counts: collections.Counter
              ) -> list[example.Pair]:
  """Returns the pairs of a split."""
  found = list(reader.examples(counts))
  if not found:
    raise errors.InputError(f'The {name} split, {reader}, has no pair.')
  return found
