"""Reads JSON lines: files with one JSON object per line."""
import collections
from collections.abc import Iterator, Mapping
import re
from typing import Any

from lmjax.core import config
from lmjax.core import errors
from lmjax.core.files import strict_json
from lmjax.data.text import files

ENDINGS = ('.jsonl', '.ndjson')  # Of the names of files in this format.
_MAX_LINE_BYTES = 16 << 20
_SURROGATES = re.compile('[\ud800-\udfff]')


def rows(path: str, on_bad_text: files.OnBadText = 'fail',
         counts: collections.Counter | None = None,
         encoding: str | None = None) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields ('path:line', object) for each line that is not blank.

  Args:
    path: A file, plain or `.gz`.
    on_bad_text: See `files.read`.
    counts: Receives the numbers of repaired and skipped lines.
    encoding: See `files.lines`.

  Raises:
    InputError: If a line is not a JSON object.
  """
  for number, line in files.lines(
      path, on_bad_text, _MAX_LINE_BYTES,
      collections.Counter() if counts is None else counts, encoding):
    if line.strip():
      yield f'{path}:{number}', loads(line, f'{path}:{number}')


def loads(line: str, where: str) -> dict[str, Any]:
  """Returns the object of a line; `where` is its place for messages.

  Raises:
    InputError: If the line is not a JSON object.
  """
  try:
    row = strict_json.loads(line, lenient=True)
  except ValueError as error:
    raise errors.InputError(
        f'{where}: not JSON ({error}); if it is the last line, the file is '
        'truncated.') from None
  if not isinstance(row, dict):
    raise errors.InputError(
        f'{where}: should be a JSON object; got {type(row).__name__}.')
  return row


def value(row: Mapping[str, Any], field: str, where: str) -> Any:
  """Returns a field of an object.

  Raises:
    InputError: If the field is missing; suggests the nearest name.
  """
  if field not in row:
    raise errors.InputError(
        f'{where}: no field {field!r} among {sorted(row)[:20]}.'
        f'{config.near(field, row)}')
  return row[field]


def text(row: Mapping[str, Any], field: str, where: str) -> str:
  """Returns a field with text; see `value`."""
  found = value(row, field, where)
  if not isinstance(found, str):
    raise errors.InputError(
        f'{where}: field {field!r} should be a string; got '
        f'{type(found).__name__}.')
  return found


def repaired(text: str, field: str, where: str, on_bad_text: files.OnBadText,
             counts: collections.Counter) -> str | None:
  """Returns the text of a field without lone surrogates, which JSON can hold.

  Args:
    text: The text.
    field: The field's name, for messages.
    where: The place of the line, for messages.
    on_bad_text: How to handle a text with one: 'fail', 'replace' each by
      U+FFFD, or 'skip' the text, which returns None.
    counts: Receives the numbers of repaired and skipped lines.

  Raises:
    InputError: If there is one, under 'fail'.
  """
  found = _SURROGATES.search(text)
  if found is None:
    return text
  if on_bad_text == 'fail':
    raise errors.InputError(
        f'{where}: lone surrogate {found[0]!a} at character {found.start()} of '
        f'{field!r}; repair it, or set on_bad_text=replace.')
  if on_bad_text == 'skip':
    counts['lines of bad text skipped'] += 1
    return None
  counts['lines of bad text repaired'] += 1
  return _SURROGATES.sub('\ufffd', text)
