"""Reads columns of CSV and TSV files; a column can be a source of text."""
import collections
from collections.abc import Iterator, Sequence
import csv
import dataclasses
from typing import Any, ClassVar

from lmjax.core import config
from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data import documents
from lmjax.data.text import encodings
from lmjax.data.text import files
from lmjax.data.text import kinds

ENDINGS = ('.csv', '.tsv')  # Of the names of files in this format.
_MAX_LINE_BYTES = 16 << 20
_DELIMITERS = ',;\t|'


def columns(
    path: str, fields: Sequence[str], *, delimiter: str | None = None,
    header: bool = True, quoted: bool = True, drop_blank: bool = True,
    counts: collections.Counter | None = None, encoding: str | None = None,
    on_bad_text: files.OnBadText = 'fail',
) -> Iterator[tuple[str, tuple[str, ...]]]:
  """Yields ('path:line', values of `fields`) for each row of a file.

  Args:
    path: A file, plain or `.gz`.
    fields: Names of columns in the header, or their numbers from 0.
    delimiter: The character between columns; a tab may be written as `\\t`.
      None is a tab if the file is named `.tsv`, and a comma otherwise.
    header: Whether the first row names the columns.
    quoted: Whether `"` quotes values that hold delimiters, line breaks or
      doubled quotes. If not, a quote is an ordinary character.
    drop_blank: Whether to drop rows whose values are all empty. Blank lines
      between rows are always dropped.
    counts: Receives 'blank rows dropped', and the numbers of repaired and
      skipped lines.
    encoding: See `files.lines`.
    on_bad_text: See `files.read`.

  Raises:
    InputError: If a column is missing, or a row and the first row have
      different numbers of columns.
  """
  counts = collections.Counter() if counts is None else counts
  if delimiter is None:
    delimiter = '\t' if kinds.of(path) == 'tsv' else ','
  lines = files.lines(path, on_bad_text, _MAX_LINE_BYTES, counts, encoding)
  rows = _rows(path, (line for _, line in lines), delimiter, quoted)
  number, first = next(rows, (0, None))
  if first is None:
    raise errors.InputError(f'{path} has no rows; give a file that has some.')
  at = [_place(path, field, first, header, delimiter) for field in fields]
  if not header:
    yield f'{path}:{number}', tuple(first[i] for i in at)
  is_empty = header
  for number, row in rows:
    if not any(row) and (drop_blank or not row):
      counts['blank rows dropped'] += 1
      continue
    if len(row) != len(first):
      raise errors.InputError(
          f'{path}:{number}: {len(row)} columns, but the first row has '
          f'{len(first)}; check delimiter={delimiter!r} and quoted={quoted}.')
    is_empty = False
    yield f'{path}:{number}', tuple(row[i] for i in at)
  if is_empty:
    raise errors.InputError(
        f'{path} has no row below its header; give a file that has some, or '
        'set header=False.')


def _rows(path: str, lines: Iterator[str], delimiter: str, quoted: bool
          ) -> Iterator[tuple[int, list[str]]]:
  """Yields (line number, values) of each row."""
  delimiter = '\t' if delimiter == '\\t' else delimiter
  if len(delimiter) != 1:
    raise errors.InputError(
        f'delimiter should be a single character; got {delimiter!r}.')
  # The limit belongs to the process: it is only raised, so that no other thread
  # finds it lower than before.
  csv.field_size_limit(max(csv.field_size_limit(), _MAX_LINE_BYTES))
  reader = csv.reader(
      (line + '\n' for line in lines), delimiter=delimiter, strict=True,
      quoting=csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE)
  while True:
    number = reader.line_num + 1
    try:
      row = next(reader)
    except StopIteration:
      return
    except csv.Error as error:
      raise errors.InputError(
          f'{path}:{number}: not a row of values separated by {delimiter!r} '
          f'({error}); if quotes are plain characters there, set quoted=False.'
      ) from None
    yield number, row


def _place(path: str, field: str, first: list[str], header: bool,
           delimiter: str) -> int:
  """Returns the index of a column."""
  if header and field in first:
    return first.index(field)
  if field.isdecimal() and int(field) < len(first):
    return int(field)
  names = first if header else list(range(len(first)))
  other = next((mark for mark in _DELIMITERS if len(first) == 1
                and mark != delimiter and mark in first[0]), None)
  if other is not None:
    hint = f' Or is {other!r} between columns? Set delimiter={other!r}.'
  elif header:
    hint = config.near(field, names) or (
        ' If the first row is no header, set header=False and give columns by '
        'number from 0.')
  else:
    hint = ' Without a header, columns have numbers from 0.'
  raise errors.InputError(
      f'{path} has no column {field!r} among {names} (delimiter '
      f'{delimiter!r}, header={header}).{hint}')


@dataclasses.dataclass(frozen=True)
class Delimited(documents.Source):
  """One column of CSV or TSV files; each row is a document.

  Attributes:
    paths: Files and globs.
    field: The column with the text: its name, or its number from 0.
    delimiter: The character between columns; a tab may be written as \\t. None
      is a tab in files named `.tsv`, and a comma in others.
    header: Whether the first row names the columns.
    quoted: Whether `"` quotes values.
    encoding: The encoding of the text, such as 'latin-1' or 'utf-16'.
    on_bad_text: How to handle bytes that are not in this encoding: 'fail',
      'replace' them by U+FFFD, or 'skip' their lines.
  """
  paths: tuple[user_paths.Path, ...]
  field: str = 'text'
  delimiter: str | None = None
  header: bool = True
  quoted: bool = True
  encoding: str = 'utf-8'
  on_bad_text: files.OnBadText = 'fail'

  endings: ClassVar = ENDINGS  # Files that are read by this kind.

  def __post_init__(self):
    encodings.check(self.encoding)

  def fingerprint(self) -> dict[str, Any]:
    return {'files': files.fingerprint(self.paths)} | {
        name: getattr(self, name)
        for name in ('field', 'delimiter', 'header', 'quoted', 'encoding',
                     'on_bad_text')}

  def contents(self) -> dict[str, str]:
    return files.contents(self.paths)

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    for path in files.expand(self.paths):
      for _, (text,) in columns(
          path, [self.field], delimiter=self.delimiter, header=self.header,
          quoted=self.quoted, counts=counts, encoding=self.encoding,
          on_bad_text=self.on_bad_text):
        yield text
