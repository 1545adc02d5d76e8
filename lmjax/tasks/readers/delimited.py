"""Labelled text in CSV and TSV files."""
from collections.abc import Iterator
import dataclasses

from lmjax.core.files import user_paths
from lmjax.data.text import files
from lmjax.data.text import tables
from lmjax.tasks.readers import columns
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
    delimiter: The character between columns.
    header: Whether the first row names the columns.
    quoted: Whether `"` quotes values.
    rename: New names of labels: ('0=negative', '1=positive').
  """
  paths: tuple[user_paths.Path, ...]
  text: tuple[str, ...] = ('text',)
  label: str | None = 'label'
  delimiter: str = ','
  header: bool = True
  quoted: bool = True
  rename: tuple[str, ...] = ()
  second: tuple[str, ...] = ()

  def examples(self) -> Iterator[task_lib.Example]:
    """Yields the examples, row by row."""
    name_of = columns.renamed(self.rename)
    labels = () if self.label is None else (self.label,)
    fields = [*self.text, *self.second, *labels]
    for path in files.expand(self.paths):
      for where, values in tables.columns(
          path, fields, delimiter=self.delimiter, header=self.header,
          quoted=self.quoted, drop_blank=self.label is not None):
        row = dict(zip(fields, values))
        label = None if self.label is None else name_of(row[self.label])
        yield columns.example(row, self.text, self.second, label, where)
