"""The three splits of a task on pairs of texts that belong together."""
import collections
import dataclasses

from lmjax.core import errors
from lmjax.core import ranges
from lmjax.tasks.readers import division
from lmjax.tasks.readers.texts import labelled
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Matched:
  """Pairs of texts that belong together, such as a question and its answer.

  Readers name the column of the first text as `text`, of the second as
  `second`. Whitespace around texts is stripped.

  Attributes:
    train: The training pairs.
    test: The test pairs; None holds out some of `train`.
    valid: The pairs for early stopping; None holds out some of `train`.
    held_out: See `labelled.Labelled`.
    drop_shared: See `labelled.Labelled`.
    negatives: Whether the column `label` holds a hard negative of each pair: a
      text that resembles the second one but does not belong to the first.
  """
  train: labelled.Reader
  test: labelled.Reader | None = None
  valid: labelled.Reader | None = None
  held_out: ranges.Rate = 0.1
  drop_shared: bool = True
  negatives: bool = False

  def read(self) -> task_lib.Splits:
    """Returns the pairs; labels are hard negatives, or None.

    Raises:
      InputError: If a file or split is empty, malformed or lacks a column, or
        an example is no pair.
    """
    given, notes = division.collect(self._examples, self)
    found = division.divide(
        given, held_out=self.held_out, drop_shared=self.drop_shared,
        notes=notes)
    return task_lib.Splits(
        found.train, found.valid, found.test, notes=found.notes, texts=2)

  def _examples(self, name: str, reader: labelled.Reader,
                counts: collections.Counter) -> list[task_lib.Example]:
    """Returns the pairs of a split, with texts stripped and checked."""
    found = []
    for example in reader.examples(counts):
      if example.second is None:
        raise errors.InputError(
            f'{example.where}: retrieval reads pairs of texts that belong '
            'together; name the column of the second text with '
            f'--config.task.source.{name}.second=...')
      texts = {'text': example.text, 'second text': example.second}
      if self.negatives:
        texts['negative (column label)'] = example.label or ''
      for what, text in texts.items():
        if not text.strip():
          raise errors.InputError(
              f'{example.where}: the {what} is empty; remove the row.')
      found.append(task_lib.example(
          example.texts, example.where,
          example.label if self.negatives else None))
    if not found:
      raise errors.InputError(f'The {name} split, {reader}, has no example.')
    return found
