"""Labelled text from TensorFlow Datasets (TFDS)."""
import collections
from collections.abc import Iterator, Sequence
import dataclasses
from typing import Any

from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data.text import tfds
from lmjax.tasks.readers.texts import columns
from lmjax.tasks.readers.texts import labels
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class Tfds:
  """A split of a TFDS data set, such as 'glue/sst2'.

  Attributes:
    name: The name of the data set in TFDS.
    split: A split or a slice of a split.
    text: The features with the text; several are joined by a space.
    second: The features with the other text, if examples are pairs.
    label: The feature with the label.
    data_dir: The directory of prepared data; None means TFDS's default.
  """
  name: str
  split: str = 'train'
  text: tuple[str, ...] = ('text',)
  label: str = 'label'
  data_dir: user_paths.Path | None = None
  second: tuple[str, ...] = ()

  def __post_init__(self):
    columns.settle(self)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[task_lib.Example]:
    """Yields the examples in TFDS's order."""
    del counts  # No line is repaired or skipped.
    reader = tfds.Tfds(self.name, self.split, self.text[0], self.data_dir)
    names = reader.label_names(self.label)
    fields = (*self.text, *self.second)
    for number, row in enumerate(reader.rows((*fields, self.label))):
      where = f'{self.name} ({self.split}), row {number}'
      yield columns.example(
          {field: str(row[field]) for field in fields}, self.text, self.second,
          named(row[self.label], names, where), where)


def named(label: Any, names: Sequence[str] | None, where: str) -> str:
  """Returns the name of a label.

  Args:
    label: The value of a feature.
    names: The names of the feature's numbers, or None if they have none.
    where: The place of the label, for messages.

  Raises:
    InputError: If the number has no name, as in splits without labels, or the
      value can be no label.
  """
  if names is None:
    return labels.name(label, where)
  if not 0 <= label < len(names):
    raise errors.InputError(
        f'{where}: label {label} is not one of {names}; this split has no '
        'labels, so use another split.')
  return names[label]
