"""The three splits of a task on labelled text."""
import collections
from collections.abc import Sequence
import dataclasses

from lmjax.core import config
from lmjax.core import errors
from lmjax.core import ranges
from lmjax.tasks.readers import division
from lmjax.tasks.readers.texts import delimited
from lmjax.tasks.readers.texts import in_memory
from lmjax.tasks.readers.texts import json_lines
from lmjax.tasks.readers.texts import label_first
from lmjax.tasks.readers.texts import labels as labels_lib
from lmjax.tasks.readers.texts import parallel_files
from lmjax.tasks.readers.texts import tfds
from lmjax.tasks import task as task_lib

Reader = (delimited.Delimited | json_lines.JsonLines | label_first.LabelFirst
          | parallel_files.ParallelFiles | tfds.Tfds | in_memory.InMemory)


@dataclasses.dataclass(frozen=True)
@ranges.checked
class Labelled:
  """The three splits of a task, each from its own reader.

  Whitespace around texts and labels is stripped.

  Attributes:
    train: The training examples.
    test: The test examples; None holds out some of `train`.
    valid: The examples for early stopping; None holds out some of `train`.
    held_out: The expected fraction of `train` that is held out for each split
      that is None. A hash of the text determines the split of an example, so
      copies stay together.
    drop_shared: Whether training examples whose text is also in another split
      are dropped. A note has their number in both cases.
  """
  train: Reader
  test: Reader | None = None
  valid: Reader | None = None
  held_out: ranges.Rate = 0.1
  drop_shared: bool = True

  def read(self) -> task_lib.Splits:
    """Returns the splits; the labels that `train` reads are the classes.

    A note has the number of examples of each class that `train` reads.

    Raises:
      InputError: If a file or split is empty, malformed or lacks a column, or
        if `train` does not read a label of another reader.
    """
    given, notes = division.collect(_examples, self)
    counted = [e.label for e in given['train']]
    labels = labels_lib.ordered(counted)
    for name in ('valid', 'test'):
      check_labels(name, given[name] or (), labels)
    divided = self._divided(given, (labels_lib.told(counted), *notes))
    return task_lib.Splits(
        divided.train, divided.valid, divided.test, labels, divided.notes,
        len(divided.test[0].texts))

  def divided(self) -> division.Divided:
    """Returns the examples by split, without checking their labels."""
    return self._divided(*division.collect(_examples, self))

  def _divided(self, given, notes) -> division.Divided:
    return division.divide(
        given, held_out=self.held_out, drop_shared=self.drop_shared,
        notes=notes)


def check_labels(split: str, examples: Sequence[task_lib.Example],
                 labels: Sequence[str]) -> None:
  """Raises InputError for a label that does not occur in training."""
  known = set(labels)
  for example in examples:
    if example.label not in known:
      raise errors.InputError(
          f'{example.where}: label {example.label!r} of the {split} split '
          f'never occurs in training, whose labels are {list(labels)[:20]}; '
          'use rename if it is one of them.'
          f'{config.near(example.label, labels)}')


def _examples(name: str, reader: Reader, counts: collections.Counter
              ) -> list[task_lib.Example]:
  """Returns the examples of a split, with texts stripped and checked."""
  found = []
  for example in reader.examples(counts):
    texts = [text.strip() for text in example.texts]
    for text, what in zip((*texts, example.label or ''), (
        *('text', 'second text')[:len(texts)], 'label')):
      if not text:
        raise errors.InputError(
            f'{example.where}: the {what} is empty; remove the row.')
    if found and len(texts) != len(found[0].texts):
      raise errors.InputError(
          f'{example.where} has {len(texts)} texts, but {found[0].where} has '
          f'{len(found[0].texts)}; give single texts or pairs.')
    found.append(task_lib.Example(
        texts[0], example.label, example.where, *texts[1:]))
  if not found:
    raise errors.InputError(f'The {name} split, {reader}, has no example.')
  return found
