"""Labelled text in CSV and TSV files."""
import collections
from collections.abc import Iterator
import dataclasses
from typing import ClassVar

from lmjax.core.files import user_paths
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.data.text import tables
from lmjax.tasks.readers.texts import columns
from lmjax.tasks.readers.texts import labels
from lmjax.tasks import task as task_lib


@dataclasses.dataclass(frozen=True)
class Delimited:
  """CSV or TSV files.

  Attributes:
    paths: Files and globs.
    text: The columns with the text, by name or by number from 0; several are
      joined by a space.
    second: The columns with the other text, if examples are pairs.
    label: The column with the label; None if there is none. In this case, rows
      without any value are also examples.
    delimiter: The character between columns; None is a tab in files named
      `.tsv`, and a comma in others.
    header: Whether the first row names the columns.
    quoted: Whether `"` quotes values.
    rename: New names of labels: ('0=negative', '1=positive').
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail',
      'replace' them by U+FFFD, or 'skip' their lines.
  """
  paths: tuple[user_paths.Path, ...]
  text: tuple[str, ...] = ('text',)
  label: str | None = 'label'
  delimiter: str | None = None
  header: bool = True
  quoted: bool = True
  rename: tuple[str, ...] = ()
  second: tuple[str, ...] = ()
  encoding: str = 'utf-8'
  on_bad_text: files.OnBadText = 'fail'

  endings: ClassVar = tables.ENDINGS  # Files that are read by this kind.

  def __post_init__(self):
    columns.settle(self)
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[task_lib.Example]:
    """Yields the examples, row by row.

    Args:
      counts: Receives the numbers of repaired and skipped lines.
    """
    name_of = labels.named(self.rename)
    fields = [*self.text, *self.second]
    if self.label is not None:
      fields.append(self.label)
    for path in files.expand(self.paths):
      for where, values in tables.columns(
          path, fields, delimiter=self.delimiter, header=self.header,
          quoted=self.quoted, drop_blank=self.label is not None, counts=counts,
          encoding=self.encoding, on_bad_text=self.on_bad_text):
        row = dict(zip(fields, values))
        label = None if self.label is None else name_of(row[self.label], where)
        yield columns.example(row, self.text, self.second, label, where)
