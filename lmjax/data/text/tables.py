"""Reads columns of CSV and TSV files; a column can be a source of text."""
import collections
from collections.abc import Iterator, Sequence
import csv
import dataclasses
from typing import Any

from lmjax.core import config
from lmjax.core import errors
from lmjax.core.files import user_paths
from lmjax.data import documents
from lmjax.data.text import files

_MAX_LINE_BYTES = 16 << 20


def columns(
    path: str, fields: Sequence[str], *, delimiter: str = ',',
    header: bool = True, quoted: bool = True, drop_blank: bool = True,
    counts: collections.Counter | None = None,
) -> Iterator[tuple[str, tuple[str, ...]]]:
  """Yields ('path:line', values of `fields`) for each row of a file.

  Args:
    path: A file in UTF-8, plain or `.gz`.
    fields: Names of columns in the header, or their numbers from 0.
    delimiter: The character between columns; a tab may be written as `\\t`.
    header: Whether the first row names the columns.
    quoted: Whether `"` quotes values that hold delimiters, line breaks or
      doubled quotes. If not, a quote is an ordinary character.
    drop_blank: Whether to drop rows whose values are all empty. Blank lines
      between rows are always dropped.
    counts: Receives 'blank rows dropped'.

  Raises:
    InputError: If a column is missing, or a row and the first row have
      different numbers of columns.
  """
  counts = collections.Counter() if counts is None else counts
  rows = _rows(path, delimiter, quoted)
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


def _rows(path: str, delimiter: str, quoted: bool
          ) -> Iterator[tuple[int, list[str]]]:
  delimiter = '\t' if delimiter == '\\t' else delimiter
  if len(delimiter) != 1:
    raise errors.InputError(
        f'delimiter should be a single character; got {delimiter!r}.')
  lines = files.lines(path, 'fail', _MAX_LINE_BYTES, collections.Counter())
  reader = csv.reader(
      (line + '\n' for _, line in lines), delimiter=delimiter, strict=True,
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
  raise errors.InputError(
      f'{path} has no column {field!r} among {names} (delimiter '
      f'{delimiter!r}, header={header}).{config.near(field, names)}')


@dataclasses.dataclass(frozen=True)
class Delimited(documents.Source):
  """One column of CSV or TSV files; each row is a document.

  Attributes:
    paths: Files and globs.
    field: The column with the text: its name, or its number from 0.
    delimiter: The character between columns; a tab may be written as \\t.
    header: Whether the first row names the columns.
    quoted: Whether `"` quotes values.
  """
  paths: tuple[user_paths.Path, ...]
  field: str = 'text'
  delimiter: str = ','
  header: bool = True
  quoted: bool = True

  def fingerprint(self) -> dict[str, Any]:
    return {'files': files.fingerprint(self.paths)} | {
        name: getattr(self, name)
        for name in ('field', 'delimiter', 'header', 'quoted')}

  def contents(self) -> dict[str, str]:
    return files.contents(self.paths)

  def _read(self, counts: collections.Counter) -> Iterator[str]:
    for path in files.expand(self.paths):
      for _, (text,) in columns(
          path, [self.field], delimiter=self.delimiter, header=self.header,
          quoted=self.quoted, counts=counts):
        yield text
