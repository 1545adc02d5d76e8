"""Sources and targets in the columns or fields of rows."""
import collections
from collections.abc import Iterator, Mapping
import dataclasses
from typing import Any, ClassVar

from lmjax.core.files import user_paths
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.data.text import json_lines
from lmjax.data.text import tables
from lmjax.data.text import tfds
from lmjax.tasks.written import example


@dataclasses.dataclass(frozen=True)
class ColumnPairs:
  """CSV or TSV files.

  Attributes:
    paths: Files and globs, plain or `.gz`.
    source: The column to read, by name or by number from 0.
    target: The column to write.
    references: Columns with further references; one may be empty in a row.
    delimiter: The character between columns; None is a tab in files named
      `.tsv`, and a comma in others.
    header: Whether the first row names the columns.
    quoted: Whether `"` quotes values.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail',
      'replace' them by U+FFFD, or 'skip' their lines.
  """
  paths: tuple[user_paths.Path, ...]
  source: str = 'source'
  target: str = 'target'
  references: tuple[str, ...] = ()
  delimiter: str | None = None
  header: bool = True
  quoted: bool = True
  encoding: str = 'utf-8'
  on_bad_text: files.OnBadText = 'fail'

  endings: ClassVar = tables.ENDINGS  # Files that are read by this kind.

  def __post_init__(self):
    _settle(self)
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[example.Pair]:
    """Yields the pairs, row by row.

    Args:
      counts: Receives the numbers of repaired and skipped lines.

    Raises:
      InputError: If a column is missing, or a text is empty.
    """
    fields = _fields(self)
    for path in files.expand(self.paths):
      for where, values in tables.columns(
          path, fields, delimiter=self.delimiter, header=self.header,
          quoted=self.quoted, counts=counts, encoding=self.encoding,
          on_bad_text=self.on_bad_text):
        yield example.pair(values[0], values[1:], where)


@dataclasses.dataclass(frozen=True)
class FieldPairs:
  """JSON lines: each line is an object with the texts as fields.

  Attributes:
    paths: Files and globs, plain or `.gz`.
    source: The field to read.
    target: The field to write.
    references: Fields with further references; each is a text.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail',
      'replace' them by U+FFFD, or 'skip' their lines.
  """
  paths: tuple[user_paths.Path, ...]
  source: str = 'source'
  target: str = 'target'
  references: tuple[str, ...] = ()
  encoding: str = 'utf-8'
  on_bad_text: files.OnBadText = 'fail'

  endings: ClassVar = json_lines.ENDINGS  # Files that are read by this kind.

  def __post_init__(self):
    _settle(self)
    encodings.check(self.encoding)

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[example.Pair]:
    """Yields the pairs, line by line.

    Args:
      counts: Receives the numbers of repaired and skipped lines.

    Raises:
      InputError: If a field is missing, no text, or empty.
    """
    for path in files.expand(self.paths):
      for where, row in json_lines.rows(
          path, self.on_bad_text, counts, self.encoding):
        yield _pair(self, {field: json_lines.text(row, field, where)
                           for field in _fields(self)}, where)


@dataclasses.dataclass(frozen=True)
class TfdsPairs:
  """A split of a TFDS data set, such as 'wmt16_translate/de-en'.

  Attributes:
    name: The name of the data set in TFDS.
    split: A split or a slice of a split.
    source: The feature to read.
    target: The feature to write.
    references: Features with further references.
    data_dir: The directory of prepared data; None means TFDS's default.
  """
  name: str
  split: str = 'train'
  source: str = 'source'
  target: str = 'target'
  references: tuple[str, ...] = ()
  data_dir: user_paths.Path | None = None

  def examples(self, counts: collections.Counter | None = None
               ) -> Iterator[example.Pair]:
    """Yields the pairs in TFDS's order; raises InputError for an empty text."""
    del counts  # No line is repaired or skipped.
    reader = tfds.Tfds(self.name, self.split, self.source, self.data_dir)
    for number, row in enumerate(reader.rows(_fields(self))):
      yield _pair(self, row, f'{self.name} ({self.split}), row {number}')


def _settle(reader: Any) -> None:
  """Turns column numbers of a new reader, such as source=0, into text."""
  for name in ('source', 'target'):
    object.__setattr__(reader, name, str(getattr(reader, name)))
  object.__setattr__(reader, 'references', tuple(map(str, reader.references)))


def _fields(reader: Any) -> list[str]:
  """Returns the fields that a reader needs: source, target and references."""
  return [reader.source, reader.target, *reader.references]


def _pair(reader: Any, row: Mapping[str, Any], where: str) -> example.Pair:
  """Returns the pair of a row."""
  source, *targets = (str(row[field]) for field in _fields(reader))
  return example.pair(source, tuple(targets), where)
