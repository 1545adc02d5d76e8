"""Reads the texts that a script is given in a file, a pipe or standard input.

The format is named by a flag or by the end of the file's name, never guessed
from the content.
"""
import collections
from collections.abc import Collection, Iterator
from typing import Literal

from lmjax.core import config
from lmjax.core import errors
from lmjax.data.text import files
from lmjax.data.text import json_lines
from lmjax.data.text import kinds
from lmjax.data.text import tables

OnBadText = Literal['fail', 'replace']  # Skipping would shift later texts.


def read(path: str, *, kind: str | None = None, field: str = 'text',
         on_bad_text: OnBadText = 'fail',
         counts: collections.Counter | None = None) -> list[str]:
  """Returns the texts of a file, one per line, with their whitespace.

  A blank line is an empty text, so text i comes from line i + 1. In JSON lines
  and tables, blank lines are ignored, and text i comes from object or row i.

  Args:
    path: A file in UTF-8, plain or `.gz`, a pipe, or '-' for standard input.
    kind: The format, a name in `FORMATS`; None chooses by the file's name.
    field: The field or the column with the text, in JSON lines and tables.
    on_bad_text: Whether bytes that are not UTF-8, and lone surrogates in JSON,
      raise an error or are replaced by U+FFFD.
    counts: Receives the number of repaired lines.

  Raises:
    InputError: If the file cannot be read or holds no text.
  """
  counts = collections.Counter() if counts is None else counts
  kind = layout(path, kind, FORMATS)
  texts = [text for name in files.expand([path])
           for text in FORMATS[kind](name, field, on_bad_text, counts)]
  if not texts:
    raise errors.InputError(f'{path} is empty; write one text per line.')
  return texts


def layout(path: str, kind: str | None, known: Collection[str]) -> str:
  """Returns the name of a file's format: `kind`, or else by the file's name.

  Args:
    path: The file; what its name ends in, before `.gz`, is the format. Any
      ending without a meaning, as of a pipe, stands for lines.
    kind: The format that the user asked for, or None.
    known: The formats that the caller reads.

  Raises:
    InputError: If the format is not one of `known`.
  """
  found = kind or kinds.of(path) or 'lines'
  if found in known:
    return found
  if kind is None:
    raise errors.InputError(
        f'{path} is {kinds.describe(found)}, which is not read here; give '
        f'--format={"|".join(sorted(known))} if it is written so.')
  raise errors.InputError(
      f'--format is {kind!r}; choose from {sorted(known)}.'
      f'{config.near(kind, known)}')


def _lines(path: str, field: str, on_bad_text: OnBadText,
           counts: collections.Counter) -> Iterator[str]:
  del field
  return (line for _, line in files.lines(path, on_bad_text, None, counts))


def _json_lines(path: str, field: str, on_bad_text: OnBadText,
                counts: collections.Counter) -> Iterator[str]:
  for number, line in files.lines(path, on_bad_text, None, counts):
    if line.strip():
      where = f'{path}:{number}'
      row = json_lines.loads(line, where)
      yield json_lines.repaired(
          json_lines.text(row, field, where), field, where, on_bad_text, counts)


def _table(delimiter: str):
  def read_table(path, field, on_bad_text, counts):
    return (text for _, (text,) in tables.columns(
        path, [field], delimiter=delimiter, drop_blank=False,
        on_bad_text=on_bad_text, counts=counts))
  return read_table


FORMATS = {'csv': _table(','), 'jsonl': _json_lines, 'lines': _lines,
           'tsv': _table('\t')}
