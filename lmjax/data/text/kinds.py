"""Formats of files, by the ends of their names and their first bytes."""
from collections.abc import Sequence
import shlex

from lmjax.core import errors

_END = {  # What the end of a name says of a file that is not plain text.
    'csv': 'a table in CSV',
    'json': 'a JSON file',
    'jsonl': 'a file of JSON lines',
    'parquet': 'a Parquet table',
    'tsv': 'a table in TSV',
}
_SAME = {'ndjson': 'jsonl', 'tab': 'tsv'}
_BEGIN = {  # What the first bytes of a file say.
    b'\xff\xfe': 'UTF-16: iconv -f UTF-16 -t UTF-8 {}',
    b'\xfe\xff': 'UTF-16: iconv -f UTF-16 -t UTF-8 {}',
    b'\x1f\x8b': 'compressed: give it a name that ends in .gz',
    b'BZh91AY&SY': 'compressed: bunzip2 {}',
    b'\xfd7zXZ': 'compressed: unxz {}',
    b'\x28\xb5\x2f\xfd': 'compressed: unzstd {}',
    b'PK\x03\x04': 'a ZIP archive, as .docx and .xlsx are: take its text out',
    b'%PDF-': 'a PDF: pdftotext {}',
    b'PAR1\x15': 'a Parquet table: write its text as JSON lines',
}
_TABLE = ('--config.data.source.kind=Delimited --config.data.source.paths={} '
          '--config.data.source.field=COLUMN')
_SOURCE = {  # How the text of such a file is read.
    'csv': f'set {_TABLE}',
    'json': 'write its texts as JSON lines, one object per line, and set '
            '--config.data.source.kind=JsonLines',
    'jsonl': 'set --config.data.source.kind=JsonLines '
             '--config.data.source.paths={} --config.data.source.field=FIELD',
    'parquet': 'write its texts as JSON lines, one object per line, and set '
               '--config.data.source.kind=JsonLines',
    'tsv': f'set {_TABLE}',
}


def of(path: str) -> str | None:
  """Returns the format that a file's name ends in, or None for plain text.

  Example:
    >>> of('texts.jsonl.gz'), of('TABLE.CSV'), of('input.txt')
    ('jsonl', 'csv', None)
  """
  end = path.lower().removesuffix('.gz').rpartition('.')[2]
  end = _SAME.get(end, end)
  return end if end in _END else None


def describe(kind: str) -> str:
  """Returns a few words on a format that `of` returned."""
  return _END[kind]


def check_plain(paths: Sequence[str]) -> None:
  """Checks that the names of files do not all say that they are tables.

  Raises:
    InputError: If they do; it says how their text is read.
  """
  found = [of(path) for path in paths]
  if None in found:
    return
  path, kind = paths[0], found[0]
  raise errors.InputError(
      f'{path} is {_END[kind]}: {_SOURCE[kind].format(shlex.quote(path))}. To '
      'train on its lines as they are, give it a name that ends in .txt.')


def check_begin(path: str, raw: bytes) -> None:
  """Checks that a file does not begin like a format that is not text.

  Args:
    path: The file, for messages.
    raw: Its first bytes, at least 10 unless it is shorter.

  Raises:
    InputError: If it does.
  """
  for begin, what in _BEGIN.items():
    if raw.startswith(begin):
      raise errors.InputError(
          f'{path} is not text but {what.format(shlex.quote(path))}.')
